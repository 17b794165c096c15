"""Checks inside a rehearsal: real config, store, judge and report; load and pytest are played back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import numpy as np
import pytest

from rehearse import rehearsal
from rehearse.checks.context import RecordedResponse
from rehearse.checks.exhibits import check_evidence
from rehearse.checks.orders import Began, CheckMessage, CheckOrder, Collected, Finished, Trouble
from rehearse.checks.runner import Messages, ScriptedRunner
from rehearse.demo import free_ports
from rehearse.errors import ConfigError, Interrupted, NotReady
from rehearse.holding import holding
from rehearse.load.engine import LiveCounts, LoadEvent, Sampled, ScriptedEngine, Tick
from rehearse.model import (
    CheckEvidence,
    CheckOutcome,
    CheckResult,
    Decision,
    Mode,
    ReasonCode,
    RunKind,
    RunState,
    Sample,
    Severity,
    Side,
)
from rehearse.progress import Silence
from rehearse.redaction import Clean
from rehearse.report.terminal import summary_lines
from tests.judge.evidence import recording
from tests.project import make_project
from tests.servers import serving
from tests.test_rehearsal import CALM, Stage, blocks_of, script

PASSED, FAILED = CheckOutcome.PASSED, CheckOutcome.FAILED
GOOD = script(blocks_of(CALM))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serving() as left, serving() as right:
        make_project(tmp_path, left.url, right.url)
        (tmp_path / "checks").mkdir()
        yield Stage(tmp_path, left, right)


def result(check_id: str, outcome: CheckOutcome = PASSED, sentence: str = "") -> CheckResult:
    source = f"checks/test_a.py::test_{check_id}"
    return CheckResult(check_id, source, "It broke.", outcome, Severity.ABORT, sentence)


def played(*results: CheckResult) -> list[CheckMessage]:
    """What a runner tells of these."""
    told: list[CheckMessage] = [Collected(results)]
    for one in results:
        told += [Began(one.source), Finished(one)]
    return told


def compare(
    stage: Stage,
    runner: ScriptedRunner,
    events: Sequence[LoadEvent] = GOOD,
    changes: Mapping[str, object] = MappingProxyType({}),
) -> rehearsal.Comparison:
    parts = rehearsal.Parts(ScriptedEngine([events]), Silence(), lambda: stage.now, runner)
    return rehearsal.compare(stage.settings(**changes), parts, rehearsal.CompareOptions())


def record_baseline(
    stage: Stage, *results: CheckResult, changes: Mapping[str, object] = MappingProxyType({})
) -> ScriptedRunner:
    runner = ScriptedRunner([played(*results)])
    sides = (Side.BASELINE,) if "mode" in changes else tuple(Side)
    blocks = recording(CALM, np.random.default_rng(1), sides)
    parts = rehearsal.Parts(ScriptedEngine([script(blocks)]), Silence(), lambda: stage.now, runner)
    rehearsal.baseline(stage.settings(**changes), parts, None, "test")
    return runner


def stored(stage: Stage, run_id: str) -> CheckEvidence:
    with stage.store() as store:
        return check_evidence(store.exhibits(run_id))


def decision_of(comparison: rehearsal.Comparison) -> tuple[Decision, list[str]]:
    verdict = comparison.result.verdict
    return verdict.decision, [finding.code for finding in verdict.reasons]


def test_checks_that_pass_leave_a_go_and_are_in_store_and_report(stage: Stage) -> None:
    baseline = record_baseline(stage, result("one"))
    assert baseline.orders[0].context.under_test is Side.BASELINE
    runner = ScriptedRunner([played(result("one"), result("new"))])
    comparison = compare(stage, runner)
    assert decision_of(comparison)[0] is Decision.GO
    assert [one.check_id for one in comparison.result.checks] == ["new", "one"]
    assert "2 checks: 2 passed" in summary_lines(comparison.result, None)
    evidence = stored(stage, comparison.result.run_id)
    assert evidence.end is not None
    assert (evidence.end.planned, len(evidence.on_candidate)) == (2, 2)
    (order,) = runner.orders
    assert order.context.asked.url == stage.right.url
    assert order.only is None


def test_what_fails_is_asked_of_the_baseline_too_and_then_blames_the_upgrade(stage: Stage) -> None:
    record_baseline(stage, result("one"), result("two"))
    failed = result("two", FAILED, "a text where a number was")
    runner = ScriptedRunner([played(result("one"), failed), played(result("two"))])
    comparison = compare(stage, runner)
    assert decision_of(comparison) == (Decision.ABORT, [ReasonCode.CHECK_FAILED])
    again = runner.orders[1]
    assert again.only == (failed.source,)
    assert again.context.asked.url == stage.left.url
    assert summary_lines(comparison.result, None)[0].startswith("ABORT: A break of the past is back")
    with stage.store() as store:
        rejudged = rehearsal.rejudge(store, comparison.result.run_id, stage.root / "again").result
    assert rejudged == comparison.result


def test_checks_see_what_was_answered_under_load(stage: Stage) -> None:
    record_baseline(stage, result("one"))
    seen = Sample(
        Side.CANDIDATE,
        "GET /orders/[id]",
        "/orders/7",
        200,
        {"content-type": "application/json"},
        b"{}",
        True,
    )
    runner = ScriptedRunner([played(result("one"))])
    compare(stage, runner, [*GOOD, Sampled(seen)])
    (order,) = runner.orders
    assert order.recorded == (
        RecordedResponse(Side.CANDIDATE, "GET /orders/[id]", "GET", 200, seen.headers, "{}"),
    )


def test_what_the_baseline_fails_too_is_already_broken(stage: Stage) -> None:
    record_baseline(stage, result("one"))
    failed = result("two", FAILED, "it was never right")
    comparison = compare(stage, ScriptedRunner([played(result("one"), failed), played(failed)]))
    assert decision_of(comparison)[0] is Decision.GO
    assert [one.outcome for one in comparison.result.checks] == [CheckOutcome.ALREADY_BROKEN, PASSED]
    page = next(path for path in comparison.reports if path.suffix == ".html").read_text()
    assert "They fail on both sides: broken before, or the check itself is wrong" in page


def test_in_recorded_mode_the_recorded_results_tell_what_was_broken_before(stage: Stage) -> None:
    one_side = {"mode": Mode.RECORDED.value}
    blocks = recording(CALM, np.random.default_rng(2), (Side.CANDIDATE,))
    failed, new = result("old", FAILED, "as ever"), result("new", FAILED, "first seen")
    record_baseline(stage, failed, result("fine"), changes=one_side)
    runner = ScriptedRunner([played(failed, new, result("fine"))])
    comparison = compare(stage, runner, script(blocks), one_side)
    outcomes = {one.check_id: one.outcome for one in comparison.result.checks}
    assert outcomes == {"old": CheckOutcome.ALREADY_BROKEN, "new": FAILED, "fine": PASSED}
    assert runner.orders[0].context.baseline is None
    assert len(runner.orders) == 1


def test_a_check_that_somebody_deleted_since_the_baseline_is_never_go(stage: Stage) -> None:
    record_baseline(stage, result("one"), result("two"))
    comparison = compare(stage, ScriptedRunner([played(result("one"))]))
    assert decision_of(comparison) == (Decision.INCONCLUSIVE, [ReasonCode.CHECK_MISSING])


def test_the_whole_folder_deleted_since_the_baseline_is_never_go(stage: Stage) -> None:
    record_baseline(stage, result("one"))
    (stage.root / "checks").rmdir()
    comparison = compare(stage, ScriptedRunner([]))
    assert decision_of(comparison) == (Decision.INCONCLUSIVE, [ReasonCode.CHECK_MISSING])


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ([Collected(())], "no check was collected"),
        ([], "no check was collected"),
        ([*played(result("one")), Trouble("bad.py cannot be collected")], "bad.py"),
        ([Collected((result("one"), result("two"))), Finished(result("one"))], "1 have a result"),
    ],
    ids=["nothing collected", "nothing at all", "a file is broken", "one has no result"],
)
def test_a_gap_in_what_checks_told_is_never_go(stage: Stage, told: list[CheckMessage], why: str) -> None:
    record_baseline(stage)
    comparison = compare(stage, ScriptedRunner([told]))
    assert decision_of(comparison) == (Decision.INCONCLUSIVE, [ReasonCode.CHECKS_INCOMPLETE])
    assert why in comparison.result.verdict.reasons[0].sentence


class InterruptedRunner:
    """Ctrl-C while the second check runs."""

    def run(self, order: CheckOrder, clean: Clean) -> Messages:
        yield from played(result("one"))
        raise Interrupted(2)


def test_an_interruption_keeps_the_results_so_far_and_is_never_go(stage: Stage) -> None:
    record_baseline(stage)
    parts = rehearsal.Parts(ScriptedEngine([GOOD]), Silence(), lambda: stage.now, InterruptedRunner())
    comparison = rehearsal.compare(stage.settings(), parts, rehearsal.CompareOptions())
    assert comparison.interrupted is not None
    assert comparison.result.verdict.decision is Decision.INCONCLUSIVE
    assert [one.check_id for one in comparison.result.checks] == ["one"]
    assert stored(stage, comparison.result.run_id).end is None


def test_checks_are_asked_after_the_guard_has_stopped_the_load(stage: Stage) -> None:
    record_baseline(stage)
    live: list[LoadEvent] = []
    for bin_ in range(30):
        live += [LiveCounts(Side.BASELINE, bin_, 25, 0, 25), LiveCounts(Side.CANDIDATE, bin_, 25, 20, 25)]
        live.append(Tick(bin_ / 2))
    some = script(blocks_of(replace(CALM, blocks=3)))
    runner = ScriptedRunner([played(result("one", FAILED, "again")), played(result("one"))])
    comparison = compare(stage, runner, [*some[:-2], *live, *some[-2:]])
    decision, codes = decision_of(comparison)
    assert decision is Decision.ABORT
    assert {ReasonCode.GUARD, ReasonCode.CHECK_FAILED} <= set(codes)


def test_a_side_that_answers_no_more_is_not_asked_and_that_is_never_go(stage: Stage) -> None:
    record_baseline(stage)
    stage.right.released.clear()
    runner = ScriptedRunner([])

    class Ending(ScriptedEngine):
        def start(self, order):  # type: ignore[no-untyped-def]
            session = super().start(order)
            stage.right.hang.set()
            return session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rehearse.inquiry.INQUIRY_TIMEOUT_S", 0.5)
        parts = rehearsal.Parts(Ending([GOOD]), Silence(), lambda: stage.now, runner)
        comparison = rehearsal.compare(stage.settings(), parts, rehearsal.CompareOptions())
    assert decision_of(comparison) == (Decision.INCONCLUSIVE, [ReasonCode.CHECKS_INCOMPLETE])
    assert "does not answer any more" in comparison.result.verdict.reasons[0].sentence
    assert runner.orders == []


CANARY = "canary-4711-secret"


def test_a_secret_that_a_check_tells_is_in_no_artefact(stage: Stage) -> None:
    secret: dict[str, object] = {
        "targets.candidate.headers": {"Authorization": f"Bearer {CANARY}"},
        "targets.baseline.headers": {"Authorization": f"Bearer {CANARY}"},
    }
    record_baseline(stage, changes=secret)
    told = result(f"one[{CANARY}]", FAILED, f"asked with\n{CANARY} " + "x" * 5000)
    told = replace(told, story=f"the token {CANARY} was logged", component=CANARY, ref=f"https://x/{CANARY}")
    runner = ScriptedRunner([[*played(told), Trouble(f"log of {CANARY}")], played(told)])
    comparison = compare(stage, runner, changes=secret)
    (kept,) = comparison.result.checks
    assert "***" in kept.sentence
    assert len(kept.sentence) <= 400
    assert "\n" not in kept.sentence
    assert runner.orders[1].only == (told.source,)
    artefacts = [path.read_bytes() for path in stage.root.rglob("*") if path.is_file()]
    assert all(CANARY.encode() not in content for content in artefacts)
    with stage.store() as store:
        assert CANARY not in repr(store.exhibits(comparison.result.run_id))


def test_without_checks_nobody_is_asked_and_the_report_says_so(stage: Stage) -> None:
    (stage.root / "checks").rmdir()
    record_baseline(stage)
    comparison = compare(stage, ScriptedRunner([]))
    assert decision_of(comparison)[0] is Decision.GO
    assert any("No check" in spot for spot in comparison.result.blind_spots)


# --- alone


def check_alone(
    stage: Stage, *scripts: list[CheckMessage], changes: Mapping[str, object] = MappingProxyType({})
) -> tuple[Decision, str]:
    parts = rehearsal.Parts(ScriptedEngine([]), Silence(), lambda: stage.now, ScriptedRunner(scripts))
    report = rehearsal.check(stage.settings(**changes), parts, "rehearse check run")
    return report.verdict.decision, report.run_id


def test_checks_alone_have_the_words_of_a_verdict_and_never_become_one(stage: Stage) -> None:
    failed = result("one", FAILED, "again")
    assert check_alone(stage, played(result("one")))[0] is Decision.GO
    stage.now = stage.now.replace(minute=1)
    decision, run_id = check_alone(stage, played(failed), played(result("one")))
    assert decision is Decision.ABORT
    assert check_alone(stage, [Collected(())])[0] is Decision.INCONCLUSIVE
    with stage.store() as store:
        record = store.run(run_id)
        assert (record.kind, record.state, record.verdict) == (RunKind.CHECKS, RunState.FINISHED, None)
        with pytest.raises(ConfigError, match="only comparisons"):
            rehearsal.rejudge(store, run_id, stage.root)


def test_checks_alone_do_not_disturb_a_rehearsal_of_the_same_targets(stage: Stage) -> None:
    with stage.store() as store, holding(store, [stage.settings().target(Side.CANDIDATE).url], "the-other"):
        before = list(stage.right.requests)
        with pytest.raises(NotReady, match="run the-other"):
            check_alone(stage, played(result("one")))
        assert stage.right.requests == before  # nothing was reset, prepared, restarted or asked


def test_checks_alone_reach_targets_whose_dependencies_stand_behind_proxies(stage: Stage) -> None:
    """The candidate is what its proxy leads to: without the proxy nobody is there."""
    through, other = free_ports(2)
    upstream = urlsplit(stage.right.url).netloc
    listens = {"candidate": through, "baseline": other}
    places = {side: {"listen": f"127.0.0.1:{port}", "upstream": upstream} for side, port in listens.items()}
    file = stage.root / "rehearse.toml"
    file.write_text(file.read_text().replace(stage.right.url, f"http://127.0.0.1:{through}"))
    changes = {"edges.dependencies.shop": places}
    assert check_alone(stage, played(result("one")), changes=changes)[0] is Decision.GO


def test_the_registry_reads_what_runs_stored(stage: Stage) -> None:
    check_alone(stage, played(result("one", FAILED, "again"), result("old")), played(result("one")))
    listing = ScriptedRunner([[Collected((result("one"),)), Trouble("bad.py cannot be collected")]])
    parts = rehearsal.Parts(ScriptedEngine([]), Silence(), lambda: stage.now, listing)
    found, troubles = rehearsal.registry(stage.settings(), parts)
    assert [(entry.check.check_id, entry.is_gone, entry.failed) for entry in found] == [
        ("one", False, 1),
        ("old", True, 0),
    ]
    assert troubles == ("bad.py cannot be collected",)
    assert listing.orders[0].is_listing


def test_without_anything_to_ask_the_way_to_the_first_check_is_told(stage: Stage) -> None:
    (stage.root / "checks").rmdir()
    with pytest.raises(ConfigError, match="rehearse check new"):
        check_alone(stage)


def test_an_unknown_pack_is_refused_before_any_load(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rehearse.checks.orders.known_packs", lambda: ["http"])
    record_baseline(stage)
    with pytest.raises(ConfigError, match="no pack 'htpp'. Did you mean 'http'") as raised:  # noqa: RUF043
        compare(stage, ScriptedRunner([]), changes={"checks.packs": ["htpp"]})
    assert str(raised.value).startswith("rehearse.toml: checks.packs")
    with stage.store() as store:
        assert store.latest_run(RunKind.COMPARISON) is None
