"""Real Locust processes against real servers on loopback: the account is exact, and trouble has a name."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from rehearse.codec import CodecError
from rehearse.edges.orders import ProxyOrder
from rehearse.edges.proxy import FaultProxy
from rehearse.errors import ConfigError, RehearseError, TargetRefused
from rehearse.load.engine import BlockClosed, LiveCounts, LoadEvent, LoadStarted, Tick, Trouble, WorkerDone
from rehearse.load.locust_engine import LocustEngine, LocustSession
from rehearse.load.orders import LoadOrder, ScenarioOrder, SideOrder
from rehearse.load.schedule import Schedule
from rehearse.model import Arrivals, ReasonCode, Scope, Side
from rehearse.sides import hosts_elsewhere
from rehearse.tls import TlsOrder
from tests.servers import Site, serving

SIMPLE = """
from locust import FastHttpUser, task

class Visitor(FastHttpUser):
    @task
    def look(self):
        self.client.get("/look")
"""

KINDS = ["FastHttpUser", "HttpUser", "LeanHttpUser"]
BLOCK_S = (
    0.5  # long enough for blocks to be told apart, and no longer: each test waits for its schedule to end
)


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., LoadOrder]:
    def make(
        *sites: Site,
        tls: TlsOrder | None = None,
        scenario: str = SIMPLE,
        each_block: float = 20.0,
        blocks: int = 2,
        allow: tuple[str, ...] = ("127.0.0.1",),
        workers: int = 1,
        timeout_s: float = 2.0,
        side_effects: bool = True,
        users: int = 20,
        shares: dict[str, float] | None = None,
    ) -> LoadOrder:
        shares = shares or {"visit": 1.0}
        scenario = scenario.replace(
            "from locust import LeanHttpUser,", "from rehearse.load import LeanHttpUser\nfrom locust import"
        )
        for name in shares:
            (tmp_path / f"{name}.py").write_text(scenario.replace("Visitor", f"Visitor_{name}"))
        sides = tuple(
            SideOrder(
                side,
                site.url,
                {},
                tls or TlsOrder(),
                hosts_elsewhere(site.url, {s.url for s in sites} - {site.url}),
            )
            for side, site in zip(Side, sites, strict=False)
        )
        return LoadOrder(
            sides=sides,
            schedule=Schedule(
                each_block / BLOCK_S, "poisson", BLOCK_S, 0, blocks, seed=3, shares=tuple(shares.values())
            ),
            round=0,
            scenarios=tuple(ScenarioOrder(name, str(tmp_path / f"{name}.py")) for name in shares),
            allow=allow,
            production=(),
            side_effects=side_effects,
            users=users,
            workers=workers,
            timeout_s=timeout_s,
            log_dir=str(tmp_path / "logs"),
            working_dir=str(tmp_path),
        )

    return make


def run(
    order: LoadOrder, meanwhile: Callable[[LocustSession, LoadEvent], None] | None = None
) -> list[LoadEvent]:
    events = []
    with LocustEngine().start(order) as session:
        for event in session.events():
            events.append(event)
            if meanwhile is not None:
                meanwhile(session, event)
    return events


def total(events: list[LoadEvent], side: Side) -> Arrivals:
    arrivals = Arrivals()
    for event in events:
        if isinstance(event, BlockClosed) and event.block.side is side:
            arrivals += event.block.arrivals
    return arrivals


def incidents(events: list[LoadEvent]) -> list[str]:
    return [event.incident.code for event in events if isinstance(event, Trouble)]


def test_both_sides_get_the_same_arrivals_and_every_one_is_accounted_for(
    order: Callable[..., LoadOrder],
) -> None:
    with serving() as left, serving() as right:
        events = run(order(left, right, blocks=3))
        assert total(events, Side.BASELINE) == total(events, Side.CANDIDATE) == Arrivals(60, 60, 0, 60)
        assert len(left.requests) == len(right.requests) == 60
    assert incidents(events) == []
    finals = [event.final for event in events if isinstance(event, WorkerDone)]
    assert {final.side for final in finals} == set(Side)
    assert all(final.listener_errors == 0 for final in finals)


def test_two_workers_share_one_side(order: Callable[..., LoadOrder]) -> None:
    with serving() as site:
        events = run(order(site, workers=2, blocks=3))
        assert total(events, Side.BASELINE) == Arrivals(60, 60, 0, 60)
        assert len(site.requests) == 60
    assert sum(isinstance(event, BlockClosed) for event in events) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_that_is_told_under_load_replaces_the_one_before_it(
    order: Callable[..., LoadOrder], kind: str
) -> None:
    """Each user sends it from then on, and none loses an arrival over it."""

    def renew(session: LocustSession, event: LoadEvent) -> None:
        if isinstance(event, BlockClosed) and event.block.index == 0:
            session.tell_headers(Side.BASELINE, {"Authorization": "Bearer two"})
            session.tell_headers(Side.CANDIDATE, {"Authorization": "Bearer of somebody else"})

    with serving() as site:
        made = order(site, scenario=SIMPLE.replace("FastHttpUser", kind), blocks=6)
        side = replace(made.sides[0], headers={"Authorization": "Bearer one"})
        events = run(replace(made, sides=(side,)), renew)
        assert total(events, Side.BASELINE) == Arrivals(120, 120, 0, 120)
    assert set(site.authorizations) == {"Bearer one", "Bearer two"}
    switch = site.authorizations.index("Bearer two")
    assert switch >= 20
    assert set(site.authorizations[switch + 20 :]) == {"Bearer two"}


def test_a_scenario_s_own_credentials_are_not_replaced(order: Callable[..., LoadOrder]) -> None:
    own = SIMPLE.replace("    @task", '    default_headers = {"Authorization": "its own"}\n\n    @task')

    def renew(session: LocustSession, event: LoadEvent) -> None:
        if isinstance(event, BlockClosed) and event.block.index == 0:
            session.tell_headers(Side.BASELINE, {"Authorization": "Bearer two"})

    with serving() as site:
        made = order(site, scenario=own, blocks=3)
        run(replace(made, sides=(replace(made.sides[0], headers={"Authorization": "Bearer one"}),)), renew)
    assert set(site.authorizations) == {"its own"}


@pytest.mark.parametrize("kind", KINDS)
def test_failures_are_told_apart_and_live_counts_arrive(order: Callable[..., LoadOrder], kind: str) -> None:
    with serving(status=500) as site:
        events = run(order(site, scenario=SIMPLE.replace("FastHttpUser", kind)))
    assert total(events, Side.BASELINE).error == 40
    live = [event for event in events if isinstance(event, LiveCounts)]
    assert sum(event.errors for event in live) == sum(event.answered for event in live) == 40
    kinds = {
        e.kind
        for event in events
        if isinstance(event, BlockClosed)
        for s in event.block.series
        for e in s.errors
    }
    assert kinds == {"HTTP 500"}


@pytest.mark.parametrize("kind", ["FastHttpUser", "LeanHttpUser"])
def test_a_server_that_hangs_gives_timeouts_of_no_less_than_the_timeout(
    order: Callable[..., LoadOrder], kind: str
) -> None:
    with serving() as site:
        site.hang.set()
        scenario = SIMPLE.replace("FastHttpUser", kind)
        events = run(order(site, scenario=scenario, timeout_s=1.0, each_block=5.0, users=30))
    arrivals = total(events, Side.BASELINE)
    assert arrivals.timeout + arrivals.censored == arrivals.planned == 10
    slowest = [
        series.judged.quantile_s(0.0)
        for event in events
        if isinstance(event, BlockClosed)
        for series in event.block.series
    ]
    assert all(value is not None and value >= 0.99 for value in slowest)


def test_response_time_counts_the_wait_for_a_free_user_and_service_time_does_not(
    order: Callable[..., LoadOrder],
) -> None:
    """One user, 50 ms of work, 60 arrivals a second: two of three wait in the backlog (coordinated omission)."""
    with serving(delay_s=0.05) as site:
        events = run(order(site, each_block=30.0, users=1, timeout_s=5.0))
    blocks = [event.block for event in events if isinstance(event, BlockClosed)]
    service = next(s for s in blocks[-1].series if s.scope is Scope.ENDPOINT).judged.quantile_s(0.5)
    response = next(s for s in blocks[-1].series if s.scope is Scope.SCENARIO).judged.quantile_s(0.5)
    assert service is not None
    assert response is not None
    assert service < 0.15
    assert response > 0.5
    assert total(events, Side.BASELINE).concurrency_limited > 40


IMPATIENT = """
import gevent
from locust import {kind}, task

class Visitor({kind}):
    @task
    def look(self):
        with gevent.Timeout(0.3, False):
            self.client.get("/look?token=canary")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_that_the_scenario_gives_up_is_a_timeout_and_not_a_fast_success(
    order: Callable[..., LoadOrder], kind: str
) -> None:
    with serving() as site:
        site.hang.set()
        events = run(order(site, scenario=IMPATIENT.format(kind=kind), each_block=5.0, timeout_s=3.0))
    assert total(events, Side.BASELINE) == Arrivals(planned=10, dispatched=10, timeout=10)
    series = [s for event in events if isinstance(event, BlockClosed) for s in event.block.series]
    fastest = [one.judged.quantile_s(0.0) for one in series]
    assert all(value is not None and value >= 0.29 for value in fastest)
    assert {s.name for s in series if s.scope is Scope.ENDPOINT} == {"GET /look"}  # not the query's values


def test_a_scenario_with_a_small_share_gets_its_arrivals_and_has_a_user(
    order: Callable[..., LoadOrder],
) -> None:
    """2 % of 20 arrivals a block is less than half a one in each block, and of 20 users less than half a user."""
    with serving() as site:
        events = run(order(site, shares={"often": 0.98, "seldom": 0.02}, blocks=5))
    assert total(events, Side.BASELINE) == Arrivals(planned=100, dispatched=100, ok=100)
    counts: dict[str, int] = {}
    for event in events:
        for series in event.block.series if isinstance(event, BlockClosed) else ():
            if series.scope is Scope.SCENARIO:
                counts[series.name] = counts.get(series.name, 0) + series.judged.count
    assert counts == {"often": 98, "seldom": 2}


TWO_CLASSES = """
from locust import FastHttpUser, task

class Visitor_often(FastHttpUser):
    weight = 4
    @task
    def look(self):
        self.client.get("/often")

class Visitor_seldom(FastHttpUser):
    weight = 1
    @task
    def look(self):
        self.client.get("/seldom")
"""


def test_user_classes_take_turns_by_weight_and_not_by_who_was_idle_last(
    order: Callable[..., LoadOrder],
) -> None:
    with serving() as site:
        run(order(site, scenario=TWO_CLASSES, blocks=5))
        assert site.requests.count("GET /often") == 80
        assert site.requests.count("GET /seldom") == 20


def test_fewer_users_than_user_classes_are_refused_with_advice(order: Callable[..., LoadOrder]) -> None:
    with serving() as site, pytest.raises(ConfigError, match=r"1 users a worker are too few.*load\.users"):
        run(order(site, scenario=TWO_CLASSES, users=1))


def test_a_killed_worker_is_named_and_the_other_side_is_stopped(order: Callable[..., LoadOrder]) -> None:
    def kill_the_candidate(session: LocustSession, event: LoadEvent) -> None:
        if isinstance(event, BlockClosed) and event.block.side is Side.CANDIDATE and event.block.index == 0:
            victim = next(w for w in session._workers if w.side is Side.CANDIDATE)
            os.kill(victim.process.pid, signal.SIGKILL)

    with serving() as left, serving() as right:
        started = time.monotonic()
        events = run(order(left, right, blocks=30), kill_the_candidate)
        assert time.monotonic() - started < 20
    assert ReasonCode.WORKER_LOST in incidents(events)
    sentences = [event.incident.sentence for event in events if isinstance(event, Trouble)]
    assert any("candidate" in sentence and "SIGKILL" in sentence for sentence in sentences)


def test_stopping_keeps_closed_blocks_and_names_what_is_abandoned(order: Callable[..., LoadOrder]) -> None:
    def stop_after_one_block(session: LocustSession, event: LoadEvent) -> None:
        if isinstance(event, BlockClosed):
            session.stop(0.5)

    with serving() as site:
        events = run(order(site, blocks=60), stop_after_one_block)
    final = next(event.final for event in events if isinstance(event, WorkerDone))
    assert final.arrivals == total(events, Side.BASELINE)
    assert final.arrivals.imbalance() is None
    assert 1 <= final.blocks_closed <= 5
    assert incidents(events) == []


def test_leaving_the_session_stops_the_load_within_two_seconds(order: Callable[..., LoadOrder]) -> None:
    with serving() as site:
        with LocustEngine().start(order(site, blocks=60)) as session:
            for event in session.events():
                if isinstance(event, BlockClosed):
                    break
        time.sleep(0.2)
        seen = len(site.requests)
        time.sleep(0.5)
        assert len(site.requests) == seen


ABSOLUTE = """
from locust import {kind}, task

class Visitor({kind}):
    @task
    def stray(self):
        self.client.get("{url}/secret", name="/secret")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_an_absolute_url_off_the_allow_list_is_refused_before_a_byte_is_sent(
    order: Callable[..., LoadOrder], kind: str
) -> None:
    with serving() as site, serving("127.0.0.2") as forbidden:
        scenario = ABSOLUTE.format(kind=kind, url=forbidden.url)
        with pytest.raises(TargetRefused, match=r"127\.0\.0\.2"):
            run(order(site, scenario=scenario))
        assert forbidden.connections == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_redirect_off_the_allow_list_is_refused_before_a_byte_is_sent(
    order: Callable[..., LoadOrder], kind: str
) -> None:
    with serving("127.0.0.2") as forbidden, serving(status=302, location=f"{forbidden.url}/secret") as site:
        with pytest.raises(TargetRefused, match=r"127\.0\.0\.2"):
            run(order(site, scenario=SIMPLE.replace("FastHttpUser", kind)))
        assert len(site.requests) > 0
        assert forbidden.connections == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_redirect_to_the_other_side_is_refused_before_a_byte_is_sent(
    order: Callable[..., LoadOrder], kind: str
) -> None:
    """Both are allowed, but a candidate that sends its users to the known-good system was never measured."""
    with serving() as left, serving(status=302, location=f"{left.url}/elsewhere") as right:
        with pytest.raises(TargetRefused, match="the other side's target"):
            run(order(left, right, scenario=SIMPLE.replace("FastHttpUser", kind)))
        assert len(right.requests) > 0
        assert not [request for request in left.requests if "elsewhere" in request]


@pytest.mark.parametrize("kind", KINDS)
def test_a_method_that_changes_data_is_refused_until_the_config_allows_it(
    order: Callable[..., LoadOrder], kind: str
) -> None:
    with serving() as site:
        scenario = SIMPLE.replace("client.get", "client.post").replace("FastHttpUser", kind)
        with pytest.raises(TargetRefused, match="side_effects"):
            run(order(site, scenario=scenario, side_effects=False))
        assert site.requests == []


def test_a_scenario_that_cannot_be_imported_is_the_users_mistake_with_its_reason(
    order: Callable[..., LoadOrder],
) -> None:
    with serving() as site, pytest.raises(ConfigError, match="no_such_module"):
        run(order(site, scenario="import no_such_module"))


def test_a_scenario_without_users_is_the_users_mistake(order: Callable[..., LoadOrder]) -> None:
    with serving() as site, pytest.raises(ConfigError, match="no runnable User class"):
        run(order(site, scenario="X = 1"))


NESTED = """
from locust import FastHttpUser, TaskSet, SequentialTaskSet, constant, task

TOKENS = {}

class Inner(SequentialTaskSet):
    wait_time = constant(0.3)

    @task
    def first(self):
        self.client.get("/first")

    @task
    def second(self):
        self.client.get("/second")
        self.interrupt()

class Visitor(FastHttpUser):
    wait_time = constant(60)
    tasks = {Inner: 2}

    def on_start(self):
        TOKENS[self.host] = self.client.get("/login").json()["version"]
        assert len(TOKENS) == 1, "the other side's module state leaked in"

    @task
    def direct(self):
        with self.client.get("/direct", catch_response=True) as response:
            response.failure("order 17 is missing")
"""


def test_nested_and_sequential_task_sets_claim_their_arrivals_at_the_leaves(
    order: Callable[..., LoadOrder],
) -> None:
    with serving() as left, serving() as right:
        events = run(order(left, right, scenario=NESTED, each_block=60.0))
    for side in Side:
        arrivals = total(events, side)
        assert arrivals.imbalance() is None
        assert (arrivals.planned, arrivals.unsent) == (120, 0)
    names = {s.name for event in events if isinstance(event, BlockClosed) for s in event.block.series}
    assert {"GET /first", "GET /second", "GET /direct"} <= names
    kinds = {
        e.kind
        for event in events
        if isinstance(event, BlockClosed)
        for s in event.block.series
        for e in s.errors
    }
    assert kinds == {"rejected by the scenario: order # is missing"}
    assert sum(isinstance(event, LoadStarted) for event in events) == 1
    assert any(isinstance(event, Tick) for event in events)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and shop.test, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:shop.test", "-days", "2"]
    output = ["-keyout", str(key), "-out", str(cert)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *output]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("is_trusted", "verify"),
    [(False, True), (True, True), (False, False)],
    ids=["unknown", "trusted", "unverified"],
)
def test_certificates_are_verified_unless_the_config_says_otherwise(
    order: Callable[..., LoadOrder], certificate: tuple[Path, Path], kind: str, is_trusted: bool, verify: bool
) -> None:
    tls = TlsOrder(verify=verify, ca=str(certificate[0]) if is_trusted else None)
    with serving(certificate=certificate) as site:
        scenario = SIMPLE.replace("FastHttpUser", kind)
        events = run(order(site, scenario=scenario, tls=tls, each_block=10.0))  # a handshake costs much
        arrivals = total(events, Side.BASELINE)
        if is_trusted or not verify:
            assert (arrivals.ok, len(site.requests)) == (20, 20)
        else:
            assert (arrivals.dispatched, arrivals.ok, len(site.requests)) == (20, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shows", [True, False], ids=["shown", "not shown"])
def test_a_client_certificate_is_shown_where_one_is_wanted(
    order: Callable[..., LoadOrder], certificate: tuple[Path, Path], kind: str, shows: bool
) -> None:
    cert, key = map(str, certificate)  # vouches for itself, as server and as client
    tls = TlsOrder(ca=cert, cert=cert, key=key) if shows else TlsOrder(ca=cert)
    with serving(certificate=certificate, client_ca=certificate[0]) as site:
        scenario = SIMPLE.replace("FastHttpUser", kind)
        arrivals = total(run(order(site, scenario=scenario, tls=tls, each_block=10.0)), Side.BASELINE)
        done = (arrivals.ok, arrivals.error, len(site.requests))
    assert done == ((20, 0, 20) if shows else (0, 20, 0))


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("kind", KINDS)
def test_load_leads_through_a_fault_proxy_and_name_host_and_certificate_stay_the_targets(
    order: Callable[..., LoadOrder], certificate: tuple[Path, Path], kind: str, is_encrypted: bool
) -> None:
    with (
        serving(certificate=certificate if is_encrypted else None) as site,
        FaultProxy(ProxyOrder("127.0.0.1", site.port, allow=("127.0.0.1",))) as proxy,
    ):
        made = order(
            site,
            scenario=SIMPLE.replace("FastHttpUser", kind),
            tls=TlsOrder(ca=str(certificate[0])),
            blocks=1,
            allow=("shop.test", f"127.0.0.1:{proxy.address[1]}"),
        )
        url = f"{site.scheme}://shop.test:{site.port}"  # a name that leads nowhere else
        events = run(replace(made, sides=(replace(made.sides[0], url=url, through=proxy.address),)))
        assert (total(events, Side.BASELINE).ok, len(site.requests)) == (20, 20)
        assert set(site.hosts) == {f"shop.test:{site.port}"}
        assert proxy.counters().accepted == site.connections > 0


@pytest.mark.parametrize("flaw", ["its log cannot be opened", "it cannot be told its order"])
def test_when_the_second_worker_cannot_be_started_the_first_one_is_ended(
    order: Callable[..., LoadOrder], tmp_path: Path, flaw: str
) -> None:
    with serving() as left, serving() as right:
        both = order(left, right)
    if flaw == "its log cannot be opened":
        (tmp_path / "logs" / "candidate-round0-worker0.log").mkdir(parents=True)
    else:
        unwritable = {"Authorization": object()}
        baseline, candidate = both.sides
        both = replace(both, sides=(baseline, replace(candidate, headers=unwritable)))  # type: ignore[arg-type]
    before = set(psutil.Process().children())
    with pytest.raises((RehearseError, CodecError)):
        LocustEngine().start(both)
    assert set(psutil.Process().children()) <= before
