"""The prober as a real process against a real server: what it sees, and what becomes of it when things go wrong."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bench.disruption.__main__ import PROBES, WAYS, order_for, rehearsed, row
from bench.disruption.server import controlled
from rehearse.disruptions import Probe, ProbeLog, SampleOutcome, Tolerance
from rehearse.errors import ConfigError, TargetRefused
from rehearse.judge.disruption import disruption_findings, disruptions, mixed_windows
from rehearse.load.orders import SideOrder
from rehearse.model import Outcome, Side
from rehearse.prober.orders import ProbeRequest, ProberOrder
from rehearse.prober.probing import ChildProber, ChildSession, ScriptedProber
from tests.servers import serving

KEPT, FRESH = ProbeRequest(Probe("kept")), ProbeRequest(Probe("fresh", is_fresh=True))


def ordered(url: str, *probes: ProbeRequest, headers: dict[str, str] | None = None) -> ProberOrder:
    return ProberOrder(
        SideOrder(Side.CANDIDATE, url, headers or {}), probes or (KEPT, FRESH), allow=("127.0.0.1",)
    )


def until(condition: Callable[[], bool], at_most_s: float = 10.0) -> None:
    ends_s = time.monotonic() + at_most_s
    while not condition():
        assert time.monotonic() < ends_s, "it never came to that"
        time.sleep(0.02)


def samples_of(log: ProbeLog, name: str, outcome: SampleOutcome) -> int:
    return sum(one.probe == name and one.outcome is outcome for one in log.samples)


def outcomes(log: ProbeLog) -> dict[str, Outcome]:
    return {
        one.subject.removeprefix("disruption: "): one.outcome for one in disruption_findings(log, Tolerance())
    }


def process_of(session: ChildSession) -> psutil.Process:
    return psutil.Process(session._process.pid)


# --- what it sees


@pytest.mark.parametrize(
    "way", ["down", *(pytest.param(one, marks=pytest.mark.live) for one in WAYS if one != "down")]
)
def test_an_outage_is_found_within_0_3_s_of_the_servers_own_log(way: str) -> None:
    from_s, to_s, log = rehearsed(way, 1.3)
    rows = [row(way, from_s, to_s, found) for found in disruptions(log)]
    assert (log.is_whole, log.trouble) == (True, "")
    assert len(rows) == 3
    assert all(one.is_right for one in rows), rows


def test_a_server_that_serves_has_no_outage_and_names_its_version() -> None:
    with controlled() as server, ChildProber().start(order_for(server)) as session:
        until(lambda: len(session.log().samples) >= 20)
        server.tell("version 2.0")
        until(lambda: {one.version for one in session.log().samples} == {"1.0", "2.0"})
        log = session.stop()
    assert set(outcomes(log).values()) == {Outcome.PASS}
    assert mixed_windows(disruptions(log)) == ()
    assert session.stop() is log
    assert session.log() is log


def test_an_outage_shows_while_it_lasts() -> None:
    with controlled() as server, ChildProber().start(order_for(server)) as session:
        until(lambda: len(session.log().samples) >= 3)
        server.tell("down")
        until(lambda: any(found.longest_s > 0.3 for found in disruptions(session.log())))
        assert not any(one.is_over for found in disruptions(session.log()) for one in found.outages[-1:])


def test_failures_name_the_version_that_failed() -> None:
    with controlled() as server, ChildProber().start(order_for(server)) as session:
        server.tell("status 500")
        until(lambda: any(one.kind == "status 500" for one in session.log().samples))
        failed = [one for one in session.stop().samples if one.kind]
    assert {one.version for one in failed} == {"1.0"}


# --- what the rig does


def test_a_prober_out_of_descriptors_blames_the_rig_and_not_the_system() -> None:
    with serving() as site, ChildProber().start(ordered(site.url)) as session:
        pid = session._process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        until(lambda: samples_of(session.log(), "fresh", SampleOutcome.OK) > 3)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, limits[1]))
        until(lambda: samples_of(session.log(), "fresh", SampleOutcome.RIG) > 5)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        log = session.stop()
    kept, fresh = disruptions(log)
    assert outcomes(log) == {"kept": Outcome.PASS, "fresh": Outcome.INCONCLUSIVE}
    assert fresh.outages == ()
    assert {one.kind for one in fresh.gaps} == {"out of descriptors"}
    assert kept.gaps == ()


def test_a_prober_that_stood_still_has_not_seen_that_there_was_no_outage() -> None:
    with serving() as site, ChildProber().start(ordered(site.url)) as session:
        until(lambda: len(session.log().samples) > 6)
        process_of(session).suspend()
        time.sleep(1.5)
        process_of(session).resume()
        until(lambda: any(one.kind == "the prober was late" for one in session.log().samples))
        log = session.stop()
    assert set(outcomes(log).values()) == {Outcome.INCONCLUSIVE}
    assert all(found.outages == () for found in disruptions(log))


# --- its own end


def test_a_prober_that_dies_leaves_what_it_saw_and_no_verdict() -> None:
    with serving() as site, ChildProber().start(ordered(site.url)) as session:
        until(lambda: len(session.log().samples) > 6)
        process_of(session).kill()
        until(lambda: bool(session.log().trouble))
        log = session.stop()
    assert (log.is_whole, log.trouble) == (False, "the prober ended by itself (SIGKILL)")
    assert set(outcomes(log).values()) == {Outcome.INCONCLUSIVE}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_prober_that_others_end_says_so(number: signal.Signals) -> None:
    with serving() as site, ChildProber().start(ordered(site.url)) as session:
        until(lambda: len(session.log().samples) > 3)
        process = process_of(session)
        process.send_signal(number)
        process.wait(5)
        log = session.stop()
    assert (log.is_whole, log.trouble) == (False, "the prober came to its end before it was told to stop")


def test_it_ends_by_itself_after_what_was_ordered_and_that_is_not_the_whole() -> None:
    with serving() as site:
        order = ProberOrder(SideOrder(Side.CANDIDATE, site.url), (KEPT,), allow=("127.0.0.1",), at_most_s=0.5)
        with ChildProber().start(order) as session:
            process_of(session).wait(5)
            log = session.stop()
    assert len(log.samples) == 5
    assert not log.is_whole


def test_when_rehearse_is_gone_so_are_the_probes() -> None:
    code = (
        "import os, sys\n"
        "from tests.prober.test_probing import ordered\n"
        "from rehearse.prober.probing import ChildProber\n"
        "session = ChildProber().start(ordered(sys.argv[1]))\n"
        "print(session._process.pid, flush=True)\n"
        "os._exit(1)\n"
    )
    with serving() as site:
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [sys.executable, "-c", code, site.url], cwd=root, capture_output=True, check=False
        )
        pid = int(done.stdout)
        until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_leaving_the_block_by_an_error_leaves_no_process() -> None:
    started: list[int] = []

    def fail(url: str) -> None:
        with ChildProber().start(ordered(url)) as session:
            started.append(session._process.pid)
            raise RuntimeError

    with serving() as site, pytest.raises(RuntimeError):
        fail(site.url)
    assert not psutil.pid_exists(started[0])


# --- what is not sent


def test_a_host_off_the_list_is_refused_before_anything_is_sent() -> None:
    with serving() as site:
        order = ProberOrder(SideOrder(Side.CANDIDATE, site.url), (KEPT,), allow=("staging.example",))
        with pytest.raises(TargetRefused, match=r"127\.0\.0\.1.*not on the allow-list"):
            ChildProber().start(order)
    assert site.connections == 0


@pytest.mark.parametrize(
    ("probes", "said"),
    [
        ([], "1 to 16 probes can be sent, not 0"),
        ([ProbeRequest(Probe(f"{number}")) for number in range(17)], "1 to 16 probes can be sent, not 17"),
        ([KEPT, KEPT], "two probes have the same name"),
        ([ProbeRequest(Probe("pay", "POST"))], "'pay' sends POST, and nothing says that it writes"),
    ],
    ids=["none", "too many", "same name", "writes unsaid"],
)
def test_an_order_that_cannot_be_carried_out_is_a_mistake(probes: list[ProbeRequest], said: str) -> None:
    order = ProberOrder(SideOrder(Side.CANDIDATE, "http://127.0.0.1:1"), tuple(probes), allow=("127.0.0.1",))
    with pytest.raises(ConfigError, match=said):
        ChildProber().start(order)


def test_no_secret_is_on_its_command_line_in_its_environment_or_in_its_log() -> None:
    write = ProbeRequest(
        Probe("write", "POST", is_write=True), body="my secret", headers={"X-Key": "my secret"}
    )
    with serving(headers={"X-Version": "my secret"}) as site:
        order = ordered(site.url, write, headers={"Authorization": "my secret"})
        with ChildProber().start(order) as session:
            until(lambda: len(session.log().samples) > 2)
            process = process_of(session)
            told = [*process.cmdline(), *process.environ().values(), repr(session.stop()), repr(order.probes)]
    assert site.authorizations[0] == "my secret"
    assert not any("my secret" in one for one in told)


def test_what_answers_name_is_cleaned_of_secrets() -> None:
    def clean(text: str) -> str:
        return text.replace("hidden", "***")

    with controlled() as server:
        server.tell("version hidden-1")
        with ChildProber(clean).start(order_for(server)) as session:
            until(lambda: len(session.log().samples) > 2)
            versions = {one.version for one in session.stop().samples}
    assert versions == {"***-1"}


def test_a_new_token_is_sent_from_then_on() -> None:
    with serving() as site, ChildProber().start(ordered(site.url, KEPT)) as session:
        session.tell_headers({"Authorization": "new"})
        until(lambda: "new" in site.authorizations)


def test_the_fake_plays_back_what_it_is_given() -> None:
    logs = [ProbeLog((), 0.1, 0.0, float(end)) for end in (1, 2)]
    order = ordered("http://127.0.0.1:1")
    prober = ScriptedProber([list(logs)])
    with prober.start(order) as session:
        assert [session.log(), session.log(), session.stop()] == [*logs, logs[-1]]
    assert prober.orders == [order]


def test_all_kinds_of_probes_are_in_the_benchmark() -> None:
    assert {(one.probe.is_write, one.probe.is_fresh) for one in PROBES} == {
        (False, False),
        (False, True),
        (True, False),
    }
