"""From evidence to the decision: precedence, and that GO is earned."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from itertools import pairwise

import pytest

from rehearse.histogram import Histogram
from rehearse.judge.measurement import Strictness
from rehearse.judge.verdict import baseline_findings, judge, judge_at_look, should_stop
from rehearse.model import (
    Arrivals,
    Block,
    Decision,
    Evidence,
    Incident,
    Metric,
    Objective,
    Outcome,
    Policy,
    ReasonCode,
    Reference,
    Role,
    Scope,
    Side,
    Verdict,
    WorkerFinal,
)
from tests.judge.evidence import OBJECTIVES, POLICY, QUIET, World, good, paired, recorded, with_blocks

SLOW = replace(QUIET, slowdown={"": 1.25})
A_LITTLE_SLOW = replace(QUIET, slowdown={"": 1.055})
TIGHT_LIMIT = replace(POLICY, objectives=(Objective(Metric.P95, 0.10, limit=0.005), *OBJECTIVES[3:]))
GUARD_FIRED = Incident(
    ReasonCode.GUARD, "12 % of the candidate's requests failed", Side.CANDIDATE, is_hard=True
)
LOST = Incident(ReasonCode.WORKER_LOST, "worker 0 was killed", Side.BASELINE)


@cache
def good_evidence() -> Evidence:
    return good()


@cache
def slow_evidence() -> Evidence:
    return paired(SLOW, 2, before=QUIET)


@cache
def open_evidence() -> Evidence:
    """Neither proven worse nor proven inside: at the margin."""
    return paired(A_LITTLE_SLOW, 3, before=QUIET)


def codes(verdict: Verdict) -> list[str]:
    return [finding.code for finding in verdict.reasons]


# --- precedence -------------------------------------------------------------------------------------------------


def test_identical_code_on_quiet_machines_is_go() -> None:
    verdict = judge(good_evidence())
    assert verdict.decision is Decision.GO
    (reason,) = verdict.reasons
    assert reason.outcome is Outcome.PASS
    assert "of +0.1 pp allowed" in reason.sentence


@pytest.mark.parametrize(
    ("make", "decision", "first_code"),
    [
        (lambda: replace(good_evidence(), incidents=(GUARD_FIRED,)), Decision.ABORT, ReasonCode.GUARD),
        (lambda: replace(good_evidence(), incidents=(LOST, GUARD_FIRED)), Decision.ABORT, ReasonCode.GUARD),
        (lambda: replace(slow_evidence(), incidents=(GUARD_FIRED,)), Decision.ABORT, ReasonCode.GUARD),
        (lambda: replace(good_evidence(), policy=TIGHT_LIMIT), Decision.ABORT, ReasonCode.LIMIT),
        (
            lambda: replace(good_evidence(), policy=TIGHT_LIMIT, incidents=(LOST,)),
            Decision.ABORT,
            ReasonCode.LIMIT,
        ),
        (lambda: replace(slow_evidence(), incidents=(LOST,)), Decision.INCONCLUSIVE, ReasonCode.WORKER_LOST),
        (lambda: replace(good_evidence(), incidents=(LOST,)), Decision.INCONCLUSIVE, ReasonCode.WORKER_LOST),
        (slow_evidence, Decision.ABORT, ReasonCode.WORSE),
        (lambda: cut_short(slow_evidence()), Decision.ABORT, ReasonCode.WORSE),
        (lambda: cut_short(good_evidence()), Decision.INCONCLUSIVE, ReasonCode.TOO_FEW_PAIRS),
        (open_evidence, Decision.INCONCLUSIVE, ReasonCode.GREY_ZONE),
        (good_evidence, Decision.GO, ""),
    ],
    ids=[
        "the guard alone",
        "the guard beats lost evidence",
        "the guard comes before what is proven worse",
        "an absolute limit",
        "an absolute limit beats lost evidence",
        "lost evidence beats proven worse",
        "lost evidence alone",
        "proven worse",
        "proven worse in a run that a look has ended",
        "a run that ended early without proof",
        "nothing proven",
        "all proven inside",
    ],
)
def test_precedence(make: Callable[[], Evidence], decision: Decision, first_code: str) -> None:
    verdict = judge(make())
    assert (verdict.decision, codes(verdict)[0]) == (decision, first_code)


def cut_short(evidence: Evidence) -> Evidence:
    """Only the first twelve measured blocks of each side, as when a look ends the run."""
    kept = [block for block in evidence.blocks if block.round == 0 or block.index <= 4]
    return with_blocks(evidence, kept)


@pytest.mark.parametrize("incidents", [(LOST,), (LOST, GUARD_FIRED)], ids=["alone", "beside a hard reason"])
def test_what_would_be_abort_is_told_when_the_evidence_is_not_valid(incidents: tuple[Incident, ...]) -> None:
    verdict = judge(replace(slow_evidence(), incidents=incidents))
    assert ReasonCode.WORSE not in codes(verdict)
    told = [warning for warning in verdict.warnings if warning.code == ReasonCode.WORSE]
    assert told
    assert all("would be a reason to ABORT" in warning.sentence for warning in told)


# --- GO is earned: take one piece away --------------------------------------------------------------------------


def drop(chosen: Callable[[Block], bool]) -> Callable[[Evidence], Evidence]:
    return lambda evidence: with_blocks(evidence, [block for block in evidence.blocks if not chosen(block)])


def change_one(
    change: Callable[[Block], Block], side: Side = Side.CANDIDATE, index: int = 3
) -> Callable[[Evidence], Evidence]:
    """The same evidence with one block changed, and finals that still agree with the blocks."""

    def changed(evidence: Evidence) -> Evidence:
        return with_blocks(
            evidence,
            [
                change(block) if (block.side, block.round, block.index) == (side, 0, index) else block
                for block in evidence.blocks
            ],
        )

    return changed


def with_final(**changes: object) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(
        evidence,
        finals=(replace(evidence.finals[0], **changes), *evidence.finals[1:]),  # type: ignore[arg-type]
    )


def without_series(scope: Scope, name: str) -> Callable[[Evidence], Evidence]:
    def changed(evidence: Evidence) -> Evidence:
        return with_blocks(
            evidence,
            [
                block
                if block.side is Side.BASELINE
                else replace(
                    block, series=tuple(s for s in block.series if (s.scope, s.name) != (scope, name))
                )
                for block in evidence.blocks
            ],
        )

    return changed


def without_rig_lag(block: Block) -> Block:
    return replace(block, rig=replace(block.rig, rig_lag=Histogram()))


def unbalanced(block: Block) -> Block:
    return replace(block, arrivals=replace(block.arrivals, ok=block.arrivals.ok - 1))


def lost_samples(block: Block) -> Block:
    arrivals = block.arrivals
    return replace(block, arrivals=replace(arrivals, planned=arrivals.planned + 5, dispatched=arrivals.dispatched + 5,
                                           ok=arrivals.ok + 5))  # fmt: skip


def emptied(block: Block) -> Block:
    return replace(block, arrivals=Arrivals(), series=())


PIECES: dict[str, Callable[[Evidence], Evidence]] = {
    "every block": lambda evidence: with_blocks(evidence, ()),
    "the baseline's blocks": drop(lambda block: block.side is Side.BASELINE),
    "the candidate's blocks": drop(lambda block: block.side is Side.CANDIDATE),
    "the last round": drop(lambda block: block.round == 1),
    "the last block of both sides": drop(lambda block: (block.round, block.index) == (1, 8)),
    "one candidate block in the middle": drop(
        lambda block: (block.side, block.round, block.index) == (Side.CANDIDATE, 0, 4)
    ),
    "one baseline block at the end": drop(
        lambda block: (block.side, block.round, block.index) == (Side.BASELINE, 1, 8)
    ),
    "the candidate's last blocks": drop(
        lambda block: block.side is Side.CANDIDATE and block.round == 1 and block.index > 4
    ),
    "all closing accounts": lambda evidence: replace(evidence, finals=()),
    "one closing account": lambda evidence: replace(evidence, finals=evidence.finals[1:]),
    "one of two workers": lambda evidence: replace(evidence, expected_workers=2),
    "a closing account's own balance": with_final(arrivals=Arrivals(planned=5)),
    "arrivals from a closing account": with_final(arrivals=Arrivals(planned=5, dispatched=5, ok=5)),
    "blocks that a closing account knows": with_final(blocks_closed=10),
    "the end of the load": lambda evidence: replace(evidence, is_complete=False),
    "a sample from a histogram": change_one(lost_samples),
    "an outcome from the ledger": change_one(unbalanced),
    "the rig's lag of a block": change_one(without_rig_lag),
    "all that one block holds": change_one(emptied),
    "an endpoint on the candidate": without_series(Scope.ENDPOINT, "POST /orders"),
    "a task on the candidate": without_series(Scope.TASK, "do POST /orders"),
    "the scenario total on the candidate": without_series(Scope.SCENARIO, "shop"),
    "the objectives": lambda evidence: replace(evidence, policy=Policy(())),
    "the error objective": lambda evidence: replace(evidence, policy=Policy(OBJECTIVES[:2])),
    "the latency objectives": lambda evidence: replace(evidence, policy=Policy(OBJECTIVES[3:])),
    "what is deciding about the objectives": lambda evidence: replace(
        evidence, policy=Policy(tuple(replace(o, is_advisory=True) for o in OBJECTIVES))
    ),
    "the plan": lambda evidence: replace(evidence, planned_blocks=0),
}  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_without_one_piece_it_is_not_go(piece: str) -> None:
    verdict = judge(PIECES[piece](good_evidence()))
    assert verdict.decision is not Decision.GO
    assert verdict.reasons, "a verdict that is not GO says why"
    assert all(finding.sentence for finding in verdict.reasons)


ADDED: dict[str, Callable[[Evidence], Evidence]] = {
    "a block twice": lambda evidence: replace(evidence, blocks=(*evidence.blocks, evidence.blocks[-1])),
    "a closing account twice": lambda evidence: replace(evidence, finals=(*evidence.finals, evidence.finals[0])),
    "a recorder that failed": with_final(listener_errors=1),
    "any incident": lambda evidence: replace(evidence, incidents=(Incident("something_new", "it happened"),)),
    "a critical endpoint that was never asked": lambda evidence: replace(
        evidence, policy=replace(POLICY, critical=("GET /pay",))
    ),
}  # fmt: skip


@pytest.mark.parametrize("piece", ADDED)
def test_with_one_piece_too_much_it_is_not_go(piece: str) -> None:
    assert judge(ADDED[piece](good_evidence())).decision is Decision.INCONCLUSIVE


NAN = math.nan
IMPOSSIBLE: dict[str, Callable[[Block], Block]] = {
    "NaN stall": lambda block: replace(block, rig=replace(block.rig, stall_max_s=NAN)),
    "NaN CPU": lambda block: replace(block, rig=replace(block.rig, cpu_ratio=NAN)),
    "infinite start": lambda block: replace(block, start_s=math.inf),
    "negative length": lambda block: replace(block, length_s=-1.0),
    "zero length": lambda block: replace(block, length_s=0.0),
    "negative arrivals": lambda block: replace(block, arrivals=replace(block.arrivals, unsent=-1)),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_a_number_that_cannot_be_ends_in_no_evidence(what: str) -> None:
    verdict = judge(change_one(IMPOSSIBLE[what])(good_evidence()))
    assert (verdict.decision, codes(verdict)) == (Decision.INCONCLUSIVE, [ReasonCode.NO_EVIDENCE])


@pytest.mark.parametrize(
    "policy",
    [
        replace(POLICY, objectives=(Objective(Metric.P50, NAN),)),
        replace(POLICY, objectives=(Objective(Metric.P50, -0.05),)),
        replace(POLICY, abort_alpha=0.0),
        replace(POLICY, go_alpha=NAN),
        replace(POLICY, noise=replace(POLICY.noise, host_sd=NAN)),
    ],
)
def test_a_policy_that_cannot_be_ends_in_no_evidence(policy: Policy) -> None:
    assert codes(judge(replace(good_evidence(), policy=policy))) == [ReasonCode.NO_EVIDENCE]


def test_a_guard_that_fired_holds_even_when_the_numbers_cannot_be_used() -> None:
    evidence = change_one(IMPOSSIBLE["NaN CPU"])(replace(good_evidence(), incidents=(GUARD_FIRED,)))
    assert judge(evidence).decision is Decision.ABORT


# --- failures are not speed -------------------------------------------------------------------------------------


def test_failing_fast_does_not_look_fast() -> None:
    """A third of the requests fail at once: p50 of everything would be far better, the verdict is ABORT on errors."""
    verdict = judge(paired(replace(QUIET, candidate_errors=0.33, error_s=0.0005), 5, before=QUIET))
    assert verdict.decision is Decision.ABORT
    assert verdict.reasons[0].subject.endswith("error ratio")
    changes = {j.cell.label: j.change for j in verdict.judgements if j.cell.metric is Metric.P50}
    assert all(change is not None and abs(change) < 0.05 for change in changes.values())


def test_failing_completely_is_not_go_and_names_the_errors() -> None:
    verdict = judge(paired(replace(QUIET, candidate_errors=1.0, error_s=0.0005), 5, before=QUIET))
    assert verdict.decision is Decision.ABORT
    assert verdict.reasons[0].subject.endswith("error ratio")


def test_both_sides_refusing_everybody_is_no_sameness() -> None:
    refused = replace(QUIET, candidate_errors=1.0, baseline_errors=1.0, error_s=0.0005)
    verdict = judge(paired(refused, 5, before=QUIET))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert ReasonCode.BASELINE_UNHEALTHY in codes(verdict)


def test_a_flawless_run_says_how_much_that_proves() -> None:
    (told,) = [finding for finding in judge(good_evidence()).warnings if finding.code == "certified_errors"]
    assert "no failure in 3,200 requests" in told.sentence
    assert "2,995 are needed" in told.sentence


# --- looks ------------------------------------------------------------------------------------------------------


def test_a_look_never_says_go() -> None:
    verdict = judge_at_look(replace(good_evidence(), finals=(), is_complete=False))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert not should_stop(verdict)


def test_a_look_needs_no_closing_accounts_to_abort() -> None:
    verdict = judge_at_look(replace(slow_evidence(), finals=(), is_complete=False))
    assert verdict.decision is Decision.ABORT
    assert should_stop(verdict)


def test_a_suspicion_is_worth_the_rest_of_the_load() -> None:
    verdict = judge_at_look(slow_evidence())
    first, *rest = [judgement for judgement in verdict.judgements if judgement.cell.role is Role.CERTIFY]
    suspicious = replace(first, outcome=Outcome.INCONCLUSIVE, code=ReasonCode.GREY_ZONE)
    assert not should_stop(replace(verdict, judgements=(suspicious, *rest)))
    watched = replace(suspicious, cell=replace(suspicious.cell, role=Role.WATCH))
    assert should_stop(replace(verdict, judgements=(watched, *rest)))


def test_more_looks_ask_for_more_proof() -> None:
    twice, often = (judge_at_look(replace(slow_evidence(), looks=looks)) for looks in (2, 400))
    assert sum(j.is_proven_worse for j in often.judgements) < sum(j.is_proven_worse for j in twice.judgements)


@pytest.mark.parametrize("looks", [1, 2, 4])
def test_the_looks_and_the_end_share_one_error_rate(looks: int) -> None:
    early, end = (Strictness.of(POLICY, looks, 1, is_final=is_final) for is_final in (False, True))
    assert end.abort_alpha + (looks - 1) * early.abort_alpha == pytest.approx(POLICY.abort_alpha)


def test_a_second_look_that_says_abort_ends_the_load_whatever_is_suspected() -> None:
    verdict = judge_at_look(slow_evidence())
    first, *rest = [judgement for judgement in verdict.judgements if judgement.cell.role is Role.CERTIFY]
    suspicious = replace(first, outcome=Outcome.INCONCLUSIVE, code=ReasonCode.GREY_ZONE)
    verdict = replace(verdict, judgements=(suspicious, *rest))
    assert not should_stop(verdict, before=judge_at_look(good_evidence()))
    assert should_stop(verdict, before=verdict)


def test_a_large_endpoint_that_looks_worse_is_not_passed_even_where_it_cannot_be_certified() -> None:
    """One endpoint of 15 % with 480 samples, a third slower: too few to prove, too many to pass in silence."""
    world = replace(
        QUIET, endpoints={"GET /items": (0.85, 0.010), "POST /orders": (0.15, 0.010)}, spread=0.6, rate_per_s=40.0,
        own_sd=0.03,
    )  # fmt: skip
    verdict = judge(paired(replace(world, slowdown={"POST /orders": 1.12}), 4, before=world))
    suspects = [
        judgement
        for judgement in verdict.judgements
        if judgement.cell.name == "POST /orders" and judgement.code == ReasonCode.GREY_ZONE
    ]
    assert suspects
    assert all(judgement.cell.role is Role.WATCH for judgement in suspects)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert {judgement.sentence for judgement in suspects} <= {reason.sentence for reason in verdict.reasons}


# --- what a verdict says ----------------------------------------------------------------------------------------


def test_reasons_come_worst_first() -> None:
    verdict = judge(paired(replace(SLOW, candidate_errors=0.05), 6, before=QUIET))
    used = [
        float(finding.numbers["change"] or 0) / float(finding.numbers["margin"] or 1)
        for finding in verdict.reasons
        if finding.code == ReasonCode.WORSE
    ]
    assert len(used) > 3
    # "used" is measured on the log scale inside, so neighbours may be a little out of order when told as ratios
    assert all(first > second * 0.9 for first, second in pairwise(used))
    assert verdict.reasons[0].subject.endswith("error ratio")


def test_a_sentence_holds_the_change_its_interval_the_counts_and_the_margin() -> None:
    verdict = judge(slow_evidence())
    sentence = next(f.sentence for f in verdict.reasons if f.subject == "GET /items p50")
    for part in ("GET /items p50 changed by +2", " ms to ", "16 pairs", "samples", "margin +5 %: worse"):
        assert part in sentence, sentence


def test_a_small_proven_worsening_is_go_with_its_name() -> None:
    wide = replace(
        POLICY, objectives=tuple(replace(o, margin=0.30) if o.metric.quantile else o for o in OBJECTIVES)
    )
    verdict = judge(paired(replace(QUIET, slowdown={"": 1.12}), 7, before=QUIET, policy=wide))
    assert verdict.decision is Decision.GO
    assert "shop p50" in [
        warning.subject for warning in verdict.warnings if warning.code == "small_worsening"
    ]


def test_a_watched_cell_says_what_it_could_have_seen() -> None:
    rare = World(
        endpoints={"GET /items": (0.95, 0.010), "GET /rare": (0.05, 0.010)},
        shared_sd=0.05,
        own_sd=0.003,
        blocks=8,
    )
    verdict = judge(paired(rare, 8, before=rare))
    told = {
        warning.subject: warning.sentence for warning in verdict.warnings if warning.code == "only_watched"
    }
    assert "could only have seen +" in told["GET /rare p50"]
    assert "pairs of 40 samples, 8 are needed" in told["GET /rare p95"]


def test_what_is_assumed_is_told() -> None:
    assert any(
        "no baseline was recorded with both targets" in told for told in judge(paired(QUIET, 1)).assumptions
    )
    assert not any("hosts" in told for told in judge(good_evidence()).assumptions)


def test_the_change_is_told_without_what_identical_versions_differ_by() -> None:
    odd_hosts = replace(QUIET, host=1.06)
    verdict = judge(paired(odd_hosts, 9, before=odd_hosts))
    (p50,) = [j for j in verdict.judgements if j.cell.label == "shop p50"]
    assert p50.change is not None
    assert abs(p50.change) < 0.03
    assert "between identical versions" in p50.sentence


# --- the same evidence, the same verdict ------------------------------------------------------------------------


@pytest.mark.parametrize("make", [good_evidence, slow_evidence, open_evidence])
def test_the_same_evidence_gives_the_same_verdict(make: Callable[[], Evidence]) -> None:
    evidence = make()
    shuffled = list(evidence.blocks)
    random.Random(1).shuffle(shuffled)
    finals: tuple[WorkerFinal, ...] = tuple(reversed(evidence.finals))
    assert (
        judge(evidence) == judge(evidence) == judge(replace(evidence, blocks=tuple(shuffled), finals=finals))
    )


def numbers_in(value: object) -> list[float]:
    if isinstance(value, float):
        return [value]
    if is_dataclass(value) and not isinstance(value, type):
        return [number for field in fields(value) for number in numbers_in(getattr(value, field.name))]
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers_in(item)]
    return (
        [number for item in value for number in numbers_in(item)] if isinstance(value, tuple | list) else []
    )


@pytest.mark.parametrize(
    "make",
    [
        good_evidence,
        slow_evidence,
        lambda: with_blocks(good_evidence(), ()),
        lambda: paired(replace(QUIET, candidate_errors=1.0), 5),
        lambda: recorded(replace(QUIET, rounds=1), replace(QUIET, rounds=1), 1),
    ],
    ids=["good", "slow", "empty", "all failing", "too few rounds"],
)
def test_every_number_that_leaves_is_finite_and_short(make: Callable[[], Evidence]) -> None:
    for number in numbers_in(judge(make())):
        assert math.isfinite(number)
        assert number == float(f"{number:.12g}")


# --- baselines --------------------------------------------------------------------------------------------------


def test_a_good_recording_can_be_a_baseline() -> None:
    assert baseline_findings(good_evidence()) == ()


@pytest.mark.parametrize(
    "piece",
    [
        "every block",
        "the candidate's blocks",
        "one closing account",
        "the end of the load",
        "a sample from a histogram",
    ],
)
def test_a_recording_that_lacks_something_cannot_be_a_baseline(piece: str) -> None:
    assert baseline_findings(PIECES[piece](good_evidence()))


@pytest.mark.parametrize("failing", [{"baseline_errors": 1.0}, {"candidate_errors": 1.0}])
def test_what_fails_on_either_side_is_not_known_good(failing: dict[str, float]) -> None:
    (finding,) = baseline_findings(paired(replace(QUIET, **failing), 1))  # type: ignore[arg-type]
    assert finding.code == ReasonCode.BASELINE_UNHEALTHY


def test_the_reference_may_be_missing_in_paired_mode() -> None:
    evidence = replace(good_evidence(), reference=None)
    wide = replace(
        POLICY, objectives=tuple(replace(o, margin=0.2) if o.metric.quantile else o for o in OBJECTIVES)
    )
    assert judge(replace(evidence, policy=wide)).decision is Decision.GO


def test_a_reference_of_the_baseline_alone_calibrates_nothing() -> None:
    reference = good_evidence().reference
    assert reference is not None
    alone = Reference("main", tuple(block for block in reference.blocks if block.side is Side.BASELINE))
    verdict = judge(replace(good_evidence(), reference=alone))
    assert any("no baseline was recorded with both targets" in told for told in verdict.assumptions)


def test_a_reference_from_another_machine_measures_nothing_and_says_so() -> None:
    """What hosts differ by is assumed as without any; that an endpoint is gone is still told by it."""
    reference = good_evidence().reference
    assert reference is not None
    elsewhere = replace(reference, other_rig="rig.cpu was 'A', is 'B'")
    verdict = judge(replace(good_evidence(), reference=elsewhere))
    alone = judge(replace(good_evidence(), reference=None))
    assert verdict.judgements == alone.judgements != judge(good_evidence()).judgements
    told = [told for told in verdict.assumptions if "from another machine (rig.cpu was 'A', is 'B')" in told]
    assert len(told) == 1


@pytest.mark.parametrize("other_rig", ["", "rig.cpu was 'A', is 'B'"])
def test_a_slow_machine_of_then_hides_no_slow_candidate_of_now(other_rig: str) -> None:
    """From there the candidate's side looked slow with identical code: through another network, say."""
    evidence = paired(replace(QUIET, slowdown={"": 1.3}), 2, before=replace(QUIET, host=1.3))
    assert evidence.reference is not None
    verdict = judge(replace(evidence, reference=replace(evidence.reference, other_rig=other_rig)))
    assert (verdict.decision is Decision.ABORT) is bool(other_rig)


@pytest.mark.parametrize("level", [0.3, 1.0])
def test_a_baseline_that_was_faster_from_a_faster_machine_is_not_called_slowed_down(level: float) -> None:
    evidence = paired(QUIET, 2, before=replace(QUIET, level=level))
    assert evidence.reference is not None
    verdict = judge(replace(evidence, reference=replace(evidence.reference, other_rig="another")))
    assert ReasonCode.NOT_ISOLATED not in {finding.code for finding in verdict.reasons}
    assert any("it was recorded from another machine" in told for told in verdict.assumptions)
