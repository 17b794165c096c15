"""The decision: evidence in, verdict out.

Precedence: hard ABORT (guard, check, absolute limit) > INCONCLUSIVE for validity > statistical ABORT >
INCONCLUSIVE > GO.
The default is INCONCLUSIVE; GO is earned by proof in every certified cell, from complete and sound evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rehearse.judge.capacity import measure_capacity
from rehearse.judge.caveats import assumptions_of, caveats
from rehearse.judge.cells import capacity_cells, cells_of, large_endpoints
from rehearse.judge.checks import check_faults, check_warnings
from rehearse.judge.contract import contract_changes, contracts_compared, sampling_warnings, unseen_faults
from rehearse.judge.contract import finding_of as contract_finding_of
from rehearse.judge.data import data_faults, data_warnings
from rehearse.judge.edges import edge_faults, edge_warnings
from rehearse.judge.faults import Fault
from rehearse.judge.health import correlation_faults, own_health_faults
from rehearse.judge.ledger import block_faults, closing_faults, impossible_numbers, probe_faults
from rehearse.judge.measurement import Measurement, PairedCase, Strictness
from rehearse.judge.outside import outside_faults, outside_warnings
from rehearse.judge.paired import measure_pairs
from rehearse.judge.pairs import (
    Column,
    JudgedBlocks,
    SeriesKey,
    columns,
    judged_blocks,
    judged_pairs,
    judged_recordings,
)
from rehearse.judge.recorded import RecordedCase, measure_rounds
from rehearse.judge.refusals import refusal_faults
from rehearse.judge.rig import rig_faults, rig_slowdown_of, rig_warnings
from rehearse.judge.rulings import Ruling, finding_of, limit_finding_of, rule_on
from rehearse.judge.server_series import measure_series, series_cells
from rehearse.judge.standing import Standing, remedy_of, standing_of
from rehearse.judge.stats import tidy
from rehearse.judge.validity import (
    incident_faults,
    known_good_load_faults,
    scenario_faults,
    validity_faults,
)
from rehearse.judge.waivers import waive, waived_changes, waived_finding, waiver_warnings
from rehearse.judge.wording import change, margin
from rehearse.model import (
    Cell,
    CheckResult,
    ContractChange,
    Decision,
    Evidence,
    Finding,
    Metric,
    Mode,
    Outcome,
    ReasonCode,
    Role,
    Scope,
    Side,
    Verdict,
    Weight,
)

_OPEN_ORDER = (ReasonCode.NOT_COMPARABLE, ReasonCode.GREY_ZONE, ReasonCode.NOISE)
_ROLES = tuple(Role)
_WAIVABLE = (ReasonCode.CHECK_FAILED, ReasonCode.EDGE_FAILED)


def judge(evidence: Evidence) -> Verdict:
    """The final judgement. The same evidence gives the same verdict."""
    return _weigh(_case_of(evidence, is_final=True))


def judge_at_look(evidence: Evidence) -> Verdict:
    """The judgement of a run that is still going: ABORT, or INCONCLUSIVE; never GO."""
    return look_at(evidence)[0]


def look_at(evidence: Evidence) -> tuple[Verdict, Standing]:
    """`judge_at_look`, and how the comparison stands, for whoever waits."""
    case = _case_of(evidence, is_final=False)
    verdict = _weigh(case)
    standing = standing_of(verdict.decision, case.rulings, verdict.pairs_used, evidence.policy.go_alpha)
    return verdict, standing


def should_stop(verdict: Verdict, before: Verdict | None = None) -> bool:
    """Whether a look ends the run: something is proven worse, and no certified cell is under suspicion.

    A suspicion (beyond the margin, not proven yet) is worth load until the next look, so that one report names
    everything that broke; not more: when the look `before` said ABORT as well, it ends.
    """
    if before is not None and verdict.decision is before.decision is Decision.ABORT:
        return True
    is_suspicious = any(
        judgement.cell.role is Role.CERTIFY and judgement.code == ReasonCode.GREY_ZONE
        for judgement in verdict.judgements
    )
    return verdict.decision is Decision.ABORT and not is_suspicious


def baseline_findings(evidence: Evidence) -> tuple[Finding, ...]:
    """Why a recording of known-good behaviour cannot be a baseline; empty when it can."""
    incidents = incident_faults(evidence)
    impossible = impossible_numbers(evidence)
    if impossible:
        return tuple(one.finding for one in (*incidents, *impossible))
    sides = tuple(Side) if evidence.mode is Mode.PAIRED else (Side.BASELINE,)
    judged = (
        judged_pairs(evidence.blocks, evidence.policy.rig)
        if evidence.mode is Mode.PAIRED
        else judged_recordings(evidence.blocks, (), evidence.policy.rig)
    )
    table = columns(judged)
    faults = [
        *incidents,
        *block_faults(evidence, sides),
        *closing_faults(evidence, sides),
        *probe_faults(evidence),
        *rig_faults(judged, evidence.blocks, evidence.policy),
        *known_good_load_faults(evidence, sides),
        *scenario_faults(evidence, table, sides),
        *outside_faults(evidence),
        *refusal_faults(table, sides),
        *(found for side in sides for found in own_health_faults(table, side, evidence.policy)),
    ]
    return tuple(one.finding for one in faults)


# --- from evidence to rulings -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything that the decision is weighed from."""

    evidence: Evidence
    faults: Sequence[Fault]
    rulings: Sequence[Ruling]
    judged: JudgedBlocks
    strictness: Strictness
    is_final: bool
    changes: tuple[ContractChange, ...] = ()  # of the response contract
    waived_checks: tuple[Finding, ...] = ()
    large: frozenset[str] = frozenset()  # endpoints with much of the traffic


def _case_of(evidence: Evidence, *, is_final: bool) -> _Case:
    incidents, impossible = incident_faults(evidence), impossible_numbers(evidence)
    checks = check_faults(evidence.checks, _recorded_checks(evidence)) if is_final else []
    edges = edge_faults(evidence.planned_edges, evidence.edges) if is_final else []
    failed, waived = _waived_checks(evidence, [*checks, *edges])
    incidents += failed
    if impossible:
        nothing = Strictness.of(evidence.policy, 1, 1)
        return _Case(evidence, [*incidents, *impossible], (), JudgedBlocks((), ()), nothing, is_final)
    stored_blocks = evidence.reference.blocks if evidence.reference is not None else ()
    judged = judged_blocks(evidence.mode, evidence.blocks, stored_blocks, evidence.policy.rig)
    stored = _stored(evidence)
    table, stored_table = columns(judged), columns(stored)
    strictness = Strictness.of(evidence.policy, evidence.looks, _limits(evidence, table), is_final=is_final)
    measurements = _measurements(
        evidence, strictness, (judged, table), (stored, stored_table), is_final=is_final
    )
    rulings = rule_on(measurements, strictness)
    faults = [
        *incidents,
        *validity_faults(evidence, judged, table, stored_table, is_final=is_final),
        *probe_faults(evidence),
        *data_faults(evidence),
        *correlation_faults(measurements),
        *(unseen_faults(evidence, _certified_endpoints(rulings)) if is_final else ()),
    ]
    changes = _changes(evidence) if is_final else ()  # contracts are stored when the rounds are over
    large = large_endpoints(evidence.policy, table)
    return _Case(evidence, faults, rulings, judged, strictness, is_final, changes, waived, large)


def _waived_checks(evidence: Evidence, faults: Sequence[Fault]) -> tuple[list[Fault], tuple[Finding, ...]]:
    """(the faults that still count, the failed checks and edge cases that somebody accepts). One that could not be
    asked is no finding that anybody could accept."""
    failed = [one.finding for one in faults if one.finding.code in _WAIVABLE]
    kept, waived = waive(failed, evidence.policy.waivers, evidence.started_at)
    rest = [one for one in faults if one.finding.code not in _WAIVABLE]
    return [*map(Fault, kept), *rest], tuple(waived)


def _changes(evidence: Evidence) -> tuple[ContractChange, ...]:
    return waived_changes(contract_changes(evidence), evidence.policy.waivers, evidence.started_at)


def _certified_endpoints(rulings: Sequence[Ruling]) -> set[str]:
    cells = (ruling.measured.cell for ruling in rulings if ruling.role is Role.CERTIFY)
    return {cell.name for cell in cells if cell.scope is Scope.ENDPOINT}


def _recorded_checks(evidence: Evidence) -> tuple[CheckResult, ...]:
    return evidence.reference.checks if evidence.reference is not None else ()


def _stored(evidence: Evidence) -> JudgedBlocks:
    """The reference's blocks: pairs of an A/A recording, or its baseline alone; in recorded mode they are judged."""
    if evidence.reference is None or evidence.mode is Mode.RECORDED:
        return JudgedBlocks((), ())
    if evidence.reference.is_calibrated:
        return judged_pairs(evidence.reference.blocks, evidence.policy.rig)
    return judged_recordings(evidence.reference.blocks, (), evidence.policy.rig)


def _limits(evidence: Evidence, table: Mapping[SeriesKey, Column]) -> int:
    policy = evidence.policy
    series = (one.objectives for one in policy.series)
    asked = (
        one for objectives in (policy.objectives, *policy.overrides.values(), *series) for one in objectives
    )
    if all(one.limit is None for one in asked):
        return 0  # as nearly always: no need to look at every cell for it
    cells = (*cells_of(policy, table), *capacity_cells(policy), *series_cells(policy.series))
    return sum(cell.objective.limit is not None and cell.role is not Role.ADVISORY for cell in cells)


def _measurements(
    evidence: Evidence,
    strictness: Strictness,
    now: tuple[JudgedBlocks, Mapping[SeriesKey, Column]],
    then: tuple[JudgedBlocks, Mapping[SeriesKey, Column]],
    *,
    is_final: bool,
) -> tuple[Measurement, ...]:
    """Server-side series are known when a round is over: they are judged once, at the end."""
    if evidence.mode is Mode.RECORDED:
        is_restarted = Side.CANDIDATE in evidence.restarted
        alone = RecordedCase(
            evidence.policy, strictness, *now, is_restarted, rig_slowdown_of(evidence.reference, now[0])
        )
        series = measure_series(evidence, alone) if is_final else ()
        return (*measure_rounds(alone), *measure_capacity(evidence, strictness, None), *series)
    tells_hosts = evidence.reference is not None and evidence.reference.tells_hosts
    earlier: tuple[JudgedBlocks, Mapping[SeriesKey, Column]] = (
        then if tells_hosts else (JudgedBlocks((), ()), {})
    )
    case = PairedCase(evidence.policy, strictness, *now, *earlier, evidence.restarted)
    series = measure_series(evidence, case) if is_final else ()
    return (*measure_pairs(case), *measure_capacity(evidence, strictness, case), *series)


# --- from rulings to the decision -------------------------------------------------------------------------------


def _weigh(case: _Case) -> Verdict:
    """Precedence, row by row."""
    hard = [one.finding for one in case.faults if one.finding.is_hard]
    hard += [finding for one in case.changes if (finding := contract_finding_of(one)).is_hard]
    hard += _broken_limits(case.rulings)
    invalid = [one.finding for one in case.faults if not one.finding.is_hard and not one.allows_abort]
    doubts = [one.finding for one in case.faults if not one.finding.is_hard and one.allows_abort]
    worse = [
        finding_of(ruling) for ruling in _worst_first(case.rulings, Outcome.FAIL) if _counts_as_worse(ruling)
    ]
    unproven = [_but_for_validity(finding) for finding in worse] if invalid else []
    if hard:
        proven = [] if invalid else worse
        return _verdict(case, Decision.ABORT, [*hard, *proven], [*invalid, *doubts, *unproven])
    if invalid:
        return _verdict(case, Decision.INCONCLUSIVE, [*invalid, *doubts], unproven)
    if worse:
        return _verdict(case, Decision.ABORT, worse, doubts)
    open_questions = [*doubts, *_undecided(case), *_not_certified(case)]
    if open_questions or not case.is_final:
        return _verdict(case, Decision.INCONCLUSIVE, open_questions or [_too_early()], [])
    return _verdict(case, Decision.GO, [_closest(case.rulings)], [])


def _verdict(case: _Case, decision: Decision, reasons: list[Finding], warnings: list[Finding]) -> Verdict:
    assumptions = assumptions_of(case.evidence, case.rulings)
    return Verdict(
        decision=decision,
        reasons=tuple(reasons),
        warnings=(
            *warnings,
            *_contract_warnings(case),
            *rig_warnings(case.judged, case.evidence.policy),
            *outside_warnings(case.evidence),
            *data_warnings(case.evidence),
            *data_warnings(case.evidence),
            *check_warnings(case.evidence.checks, _recorded_checks(case.evidence)),
            *_edge_warnings(case),
            *caveats(case.rulings, assumptions, case.strictness),
        ),
        judgements=tuple(ruling.judgement for ruling in case.rulings),
        pairs_used=min(len(case.judged.baseline), len(case.judged.candidate)),
        pairs_discarded=case.judged.discarded,
        assumptions=assumptions,
        contract=case.changes,
        contracts_compared=contracts_compared(case.evidence),
    )


def _edge_warnings(case: _Case) -> list[Finding]:
    """Edge cases come after the load: at a look none is due yet."""
    return edge_warnings(case.evidence.planned_edges, case.evidence.edges) if case.is_final else []


def _contract_warnings(case: _Case) -> list[Finding]:
    """What does not gate and must be read: what somebody accepted, and what only warns. Notes are in `contract`."""
    policy, started_at = case.evidence.policy, case.evidence.started_at
    waived = [
        waived_finding(contract_finding_of(one), one.waiver) for one in case.changes if one.waiver is not None
    ]
    told = [
        contract_finding_of(one) for one in case.changes if one.waiver is None and one.weight is Weight.WARN
    ]
    subjects = [*(one.subject for one in case.changes), *(one.subject for one in case.waived_checks)]
    unread = waiver_warnings(policy.waivers, subjects, started_at) if case.is_final else []
    return [*case.waived_checks, *waived, *told, *unread, *sampling_warnings(case.evidence)]


def _broken_limits(rulings: Sequence[Ruling]) -> list[Finding]:
    levels = [(ruling, ruling.measured.level) for ruling in rulings if ruling.breaks_limit]
    return [limit_finding_of(ruling, level) for ruling, level in levels if level is not None]


def _worst_first(rulings: Sequence[Ruling], outcome: Outcome) -> list[Ruling]:
    chosen = [ruling for ruling in rulings if ruling.judgement.outcome is outcome]
    return sorted(
        chosen,
        key=lambda ruling: (-ruling.margin_used, _ROLES.index(ruling.role), ruling.measured.cell.label),
    )


def _counts_as_worse(ruling: Ruling) -> bool:
    return ruling.role is not Role.ADVISORY and ruling.judgement.code == ReasonCode.WORSE


def _undecided(case: _Case) -> list[Finding]:
    """The certified cells that are neither proven worse nor proven inside: suspicions first.

    A suspicion of a large endpoint counts even where chance leaves no room to certify it: what looks worse than its
    margin, on a tenth of the traffic, is not passed in silence.
    """
    chosen = [ruling for ruling in _worst_first(case.rulings, Outcome.INCONCLUSIVE) if _matters(case, ruling)]
    ranks = {code: rank for rank, code in enumerate(_OPEN_ORDER)}
    chosen.sort(key=lambda ruling: ranks.get(ReasonCode(ruling.judgement.code), len(ranks)))
    return [_with_remedy(ruling, case.strictness.go_alpha) for ruling in chosen]


def _with_remedy(ruling: Ruling, go_alpha: float) -> Finding:
    """The finding of an open cell, and in numbers what would settle it."""
    finding, more_s = finding_of(ruling), remedy_of(ruling, go_alpha).more_s
    return replace(finding, numbers={**finding.numbers, "more_load_s": tidy(more_s)})


def _matters(case: _Case, ruling: Ruling) -> bool:
    code = ruling.judgement.code
    is_suspicious = code == ReasonCode.GREY_ZONE and ruling.measured.cell.name in case.large
    is_excused = code == ReasonCode.NOT_COMPARABLE  # worse, and perhaps by the machine alone
    return ruling.role is Role.CERTIFY or (ruling.role is Role.WATCH and (is_suspicious or is_excused))


def _not_certified(case: _Case) -> list[Finding]:
    """GO must rest on something: a certified latency and a certified error cell of each scenario's total.

    Together with "no certified cell is undecided" that means both are proven.
    """
    totals = [ruling.measured.cell for ruling in case.rulings if ruling.measured.cell.scope is Scope.SCENARIO]
    certified = {_name_and_kind(cell) for cell in totals if cell.role is Role.CERTIFY}
    wanted = [
        (name, kind) for name in sorted({cell.name for cell in totals}) for kind in ("latency", "errors")
    ]
    missing = [f"the {kind} of {name}" for name, kind in wanted if (name, kind) not in certified]
    return [
        Finding(
            Outcome.INCONCLUSIVE, ReasonCode.NO_EVIDENCE, "certified", f"{what} are not certified by any cell"
        )
        for what in missing or ([] if totals else ["latency and errors"])
    ]


def _name_and_kind(cell: Cell) -> tuple[str, str]:
    kinds = {Metric.ERROR_RATIO: "errors", Metric.COMPLETED_RATIO: "completion"}
    return cell.name, kinds.get(cell.metric, "latency")


def _but_for_validity(finding: Finding) -> Finding:
    sentence = f"it would be a reason to ABORT if the evidence were valid: {finding.sentence}"
    return replace(finding, sentence=sentence)


def _too_early() -> Finding:
    sentence = "nothing is proven worse so far; only the end can say GO"
    return Finding(Outcome.INCONCLUSIVE, ReasonCode.TOO_FEW_PAIRS, "look", sentence)


def _closest(rulings: Sequence[Ruling]) -> Finding:
    """The certified cell that came nearest to its margin."""
    certified = [ruling for ruling in rulings if ruling.role is Role.CERTIFY]
    closest = max(certified, key=lambda ruling: (_used_at_most(ruling), ruling.measured.cell.label))
    measured = closest.measured
    if measured.margin is None or measured.worsening is None or measured.upper is None:
        return finding_of(closest)
    metric = measured.cell.metric
    words = f"{change(metric, measured.worsening)} of {margin(metric, measured.margin)} allowed"
    sentence = f"{measured.cell.label} {words} (at most {change(metric, measured.upper)}): the closest margin"
    return replace(finding_of(closest), sentence=sentence)


def _used_at_most(ruling: Ruling) -> float:
    measured = ruling.measured
    return measured.upper / measured.margin if measured.upper is not None and measured.margin else 0.0
