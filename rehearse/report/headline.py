"""What the first screen and the terminal both say: why, the top reasons, the numbers, what to do next."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rehearse.judge import edges
from rehearse.judge.checks import subject_of
from rehearse.judge.waivers import WAIVED
from rehearse.model import (
    CheckOutcome,
    CheckResult,
    Decision,
    EdgeOutcome,
    EdgeResult,
    Finding,
    Judgement,
    Mode,
    Outcome,
    ReasonCode,
    Result,
    Role,
    Scope,
    SideSummary,
)
from rehearse.report import units
from rehearse.report.cutover import why_cutover
from rehearse.report.ranking import Row, nearest_to_margin, turned, worst_bound
from rehearse.report.units import brief, change, count, share

TOP_REASONS = 3

_LONGER = "Rehearse longer, or on quieter machines; the sentences say what would be enough."
_FIX = "Do not promote. Find the cause, fix it, and rehearse the new candidate."
NEXT_STEPS = {
    ReasonCode.WORSE: "Do not promote. Find what got worse (the report's first cell), fix it, rehearse again.",
    ReasonCode.LIMIT: f"{_FIX} A limit that the team called never acceptable is broken.",
    ReasonCode.GUARD: "Do not promote. The guard stopped the load: read the errors and the candidate's own log.",
    ReasonCode.NOISE: _LONGER,
    ReasonCode.GREY_ZONE: f"The change is too near to the margin to call. {_LONGER}",
    ReasonCode.TOO_FEW_PAIRS: "Too little was measured. Rehearse longer.",
    ReasonCode.TOO_FEW_ROUNDS: "Rehearse with more rounds: only restarts show how much a start changes.",
    ReasonCode.MISSING_ENDPOINT: "A request was seen on one side only. Check routes and scenario, rehearse again.",
    ReasonCode.MISSING_BASELINE: "There is nothing to compare with. Record a baseline with `rehearse baseline`.",
    ReasonCode.NO_EVIDENCE: "Too little was recorded. Check that both sides answer the scenario, rehearse again.",
    ReasonCode.RIG_UNHEALTHY: "The load generator was late or busy. Use a quieter host or a lower rate.",
    ReasonCode.WORKER_LOST: "A part of the load generator was lost. Read its log, then rehearse again.",
    ReasonCode.LEDGER: "The recording does not add up. Rehearse again; if that happens twice, report a bug.",
    ReasonCode.LOAD_MISMATCH: "The load was not what was planned. Check the rate and the scenario, rehearse again.",
    ReasonCode.BASELINE_UNHEALTHY: "The known-good side failed too. Repair it (tokens, data, capacity) first.",
    ReasonCode.BASELINE_STALE: "The baseline is too old. Record it anew with `rehearse baseline`.",
    ReasonCode.NOT_COMPARABLE: "Conditions differ from the baseline's. Restore them, or record the baseline anew.",
    ReasonCode.NOT_ISOLATED: "The two sides disturb each other. Give each a machine and a database of its own.",
    ReasonCode.CORRELATED: "Neighbouring blocks resemble each other too much. Rehearse longer, or with longer blocks.",
    ReasonCode.DISTRESS: "A side failed under more load before its capacity was known. Read its log, look at max_rate.",
    ReasonCode.CHECK_FAILED: f"{_FIX} A break of the past is back: the check says which, and how it was seen.",
    ReasonCode.CHECK_MISSING: "Checks of the baseline are gone. Put them back, or record the baseline without them.",
    ReasonCode.CHECKS_INCOMPLETE: "A check could not be asked. Repair it (`rehearse check run` tells), rehearse again.",
    ReasonCode.EDGE_FAILED: f"{_FIX} An edge case failed: its record says what was injected, and how to repeat it.",
    ReasonCode.EDGES_INCOMPLETE: "An edge case was not run, or nothing proves it. Its record says why; rehearse again.",
    ReasonCode.INTERRUPTED: "The run was cut off. Rehearse again, and let it end by itself.",
    ReasonCode.TARGET_REFUSED: "A host outside the allow-list was asked for. Check `safety.allow` and the scenario.",
    ReasonCode.CONTRACT: "Do not promote. Restore what clients rely on, or let someone waive it (docs/contract.md).",
    ReasonCode.UNSEEN_CONTRACT: "Answers of an endpoint were seen on one side only. Read the errors, rehearse again.",
    ReasonCode.SERIES_MISSING: "What Prometheus knows of a side is missing. The sentence says why; rehearse again.",
    ReasonCode.STEP_FAILED: f"{_FIX} A step of the plan or of its undo failed: the exit section says which, and how.",
    ReasonCode.NO_BACKUP: "Make the backup, or mend the check that looks for it; nothing was begun without it.",
    ReasonCode.STEP_NOT_RUN: "A step was not run to its end. The sentence says why; rehearse the cutover again.",
    ReasonCode.OUTAGE: f"{_FIX} Users met an outage: the exit section says in which phase, and of which kind.",
    ReasonCode.DISRUPTION_UNSEEN: "The probes did not see all of it. The sentence says why; rehearse it again.",
    ReasonCode.DATA_LOST: f"{_FIX} Rows that users wrote are gone.",
    ReasonCode.LEFT_BEHIND: "Do not promote. The undo leaves something behind: mend the undo, rehearse it again.",
    ReasonCode.EXIT_TOO_SLOW: "Do not promote. Decide earlier, or make the way back shorter, and rehearse it again.",
    ReasonCode.CRITERION: f"{_FIX} What the team agreed to turn back for has happened.",
    ReasonCode.CUTOVER_INCOMPLETE: "A part of the cutover has no evidence. The sentence says why; rehearse it again.",
    ReasonCode.INTERNAL: "`rehearse` itself failed. Keep the run, report a bug, rehearse again.",
}  # fmt: skip
_NEXT_AFTER_GO = (
    "Whoever decides can sign off. Promote only what was rehearsed here, into the environment it stands for."
)
_NEXT_WITHOUT_CONSEQUENCE = (
    "Nothing rests on this. To decide, rehearse without --advisory, by objectives fixed before."
)
_NEXT_WITHOUT_REASON = {
    Decision.ABORT: _FIX,
    Decision.INCONCLUSIVE: "Do not promote on this run. Rehearse again; only complete evidence can be GO.",
}
_HEADLINES = {
    ReasonCode.GUARD: "The candidate failed so badly that the guard stopped the load.",
    ReasonCode.LIMIT: "The candidate is beyond a limit that the team called never acceptable.",
    ReasonCode.CONTRACT: "The candidate's answers are not what clients rely on.",
}


@dataclass(frozen=True, slots=True)
class TopReason:
    """One of the sentences on the first screen, and the place on the page that it links down to."""

    sentence: str
    anchor: str


@dataclass(frozen=True, slots=True)
class CellCounts:
    """Every cell once: worse; of what GO rests on, proven (ok) or not (unknown); and what was only watched."""

    worse: int
    unknown: int
    ok: int
    watched: int

    @property
    def total(self) -> int:
        """All cells that were judged."""
        return self.worse + self.unknown + self.ok + self.watched


def cell_counts(result: Result) -> CellCounts:
    """How the cells came out. An advisory cell is only watched, even when it is worse."""
    kinds = Counter(_kind(judgement) for judgement in result.verdict.judgements)
    return CellCounts(kinds["worse"], kinds["unknown"], kinds["ok"], kinds["watched"])


def _kind(judgement: Judgement) -> str:
    if judgement.outcome is Outcome.FAIL and judgement.cell.role is not Role.ADVISORY:
        return "worse"
    if judgement.cell.role is not Role.CERTIFY:
        return "watched"
    return "ok" if judgement.outcome is Outcome.PASS else "unknown"


def some(number: int, noun: str) -> str:
    """A count with its noun: "1 cell", "12 cells"."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def why(result: Result) -> str:
    """One sentence: what the decision rests on."""
    decision = result.verdict.decision
    if result.cutover is not None:
        return why_cutover(result, result.cutover)
    if decision is Decision.GO:
        return _why_go(result)
    return _why_abort(result) if decision is Decision.ABORT else _why_inconclusive(result)


def _why_go(result: Result) -> str:
    counts = cell_counts(result)
    certified = some(counts.ok, "certified cell")
    watched = f"; {some(counts.watched, 'more cell')} only watched" if counts.watched else ""
    return f"Nothing got worse by more than the margins allow: proven in {certified}{watched}."


def _why_abort(result: Result) -> str:
    counts = cell_counts(result)
    first = result.verdict.reasons[0] if result.verdict.reasons else None
    if first is not None and first.code == ReasonCode.CHECK_FAILED:
        failed = sum(finding.code == first.code for finding in result.verdict.reasons)
        is_are = "A break of the past is" if failed == 1 else f"{failed} breaks of the past are"
        return f"{is_are} back: {check_counts(result.checks)}."
    if first is not None and first.code == ReasonCode.EDGE_FAILED:
        return f"The candidate fails where the baseline does not: {edge_counts(result.edges)}."
    if first is not None and first.code in _HEADLINES:
        return _HEADLINES[ReasonCode(first.code)]
    if counts.worse:
        return f"The candidate is proven worse in {counts.worse} of {some(counts.total, 'cell')}."
    return "The candidate failed the rehearsal."


def check_counts(checks: Sequence[CheckResult]) -> str:
    """How the checks came out, in words: "12 checks: 1 failed, 11 passed"."""
    counts = Counter(check.outcome for check in checks)
    ordered = [outcome for outcome in CheckOutcome if counts[outcome]]
    ordered.sort(key=lambda outcome: outcome is CheckOutcome.PASSED)
    listed = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ordered)
    return f"{some(len(checks), 'check')}: {listed or 'none has a result'}"


def edge_counts(edges: Sequence[EdgeResult]) -> str:
    """How the edge cases came out, in words: "4 edge cases: 1 fail, 3 pass"."""
    counts = Counter(edge.outcome for edge in edges)
    ordered = sorted(counts, key=lambda outcome: outcome is EdgeOutcome.PASS)
    return f"{some(len(edges), 'edge case')}: {', '.join(f'{counts[one]} {one}' for one in ordered)}"


def _why_inconclusive(result: Result) -> str:
    worse = cell_counts(result).worse
    seen = f", though {some(worse, 'cell')} came out worse" if worse else ""
    return f"This run proves neither that the candidate is safe nor that it is worse{seen}."


def top_reasons(result: Result, rows: Sequence[Row]) -> tuple[TopReason, ...]:
    """At most three: the worst reasons, or for GO the cells that passed with the least to spare.

    The first of each kind comes first (a check, the contract, load): ten failed checks must not hide that the load
    broke as well. Tasks come last: one of a single request has its endpoint's numbers, and would hide a second break.
    """
    if result.verdict.decision is Decision.GO and result.cutover is None:
        return tuple(TopReason(_closest(row), row.anchor) for row in nearest_to_margin(rows, TOP_REASONS))
    anchors = {row.judgement.cell.label: row.anchor for row in reversed(rows)} | check_anchors(result)
    tasks = {row.judgement.cell.label for row in rows if row.judgement.cell.scope is Scope.TASK}
    before: Counter[str] = Counter()
    ranked = []
    for position, finding in enumerate(result.verdict.reasons, start=1):
        ranked.append((finding.subject in tasks, before[finding.code], position, finding))
        before[finding.code] += 1
    return tuple(
        TopReason(finding.sentence, anchors.get(finding.subject, f"finding-{position}"))
        for _, _, position, finding in sorted(ranked, key=lambda one: one[:3])[:TOP_REASONS]
    )


def check_anchors(result: Result) -> dict[str, str]:
    """The place of each check and edge case on the page."""
    checks = {subject_of(check): anchor_of(number) for number, check in enumerate(result.checks, start=1)}
    return checks | {edges.subject_of(edge.record): edge_anchor(n) for n, edge in enumerate(result.edges, 1)}


def edge_anchor(number: int) -> str:
    """The place of one edge case on the page."""
    return f"edge-{number}"


def anchor_of(number: int) -> str:
    """The place of one check on the page."""
    return f"check-{number}"


def _closest(row: Row) -> str:
    judgement = row.judgement
    unit = judgement.cell.unit
    bound, margin = turned(judgement, worst_bound(judgement)), turned(judgement, judgement.margin)
    seen = f"{judgement.cell.label}: {change(judgement.change, unit)}, at worst {change(bound, unit)}"
    return f"{seen} of {brief(change(margin, unit))} allowed"


def next_step(result: Result) -> str:
    """What to do now, in one or two sentences."""
    if result.verdict.decision is Decision.GO:
        return _NEXT_WITHOUT_CONSEQUENCE if cautions(result) else _NEXT_AFTER_GO
    if result.verdict.decision is Decision.INCONCLUSIVE and (longer := _longer(result)) is not None:
        return longer
    for finding in result.verdict.reasons:
        if finding.code in NEXT_STEPS:
            return NEXT_STEPS[ReasonCode(finding.code)]
    return _NEXT_WITHOUT_REASON[result.verdict.decision]


def _longer(result: Result) -> str | None:
    """How much load would settle every reason; None when load alone does not."""
    more = [finding.numbers.get("more_load_s") for finding in result.verdict.reasons]
    known = [seconds for seconds in more if isinstance(seconds, int | float)]
    if not known or len(known) < len(more):
        return None
    minutes = math.ceil((result.load_s + max(known)) / 60)
    return f"Rehearse again with a load.budget of about {minutes:,} min: it was {units.length(result.load_s)} now."


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that keeps a result from being a decision: a word, and the sentence after it."""

    word: str
    sentence: str


def cautions(result: Result) -> tuple[Caution, ...]:
    """Why nothing may rest on this result; most often there is no reason."""
    advisory = Caution("Advisory", "this was run with --advisory: nothing may be promoted on it.")
    told = f"{'; '.join(result.other_policy)}. The run keeps its own verdict."
    other = Caution("Other objectives", f"re-judged under others than were fixed before the run: {told}")
    return (*([advisory] if result.is_advisory else ()), *([other] if result.other_policy else ()))


def waived(result: Result) -> tuple[Finding, ...]:
    """What a named person accepted: it decides nothing, and stays visible."""
    return tuple(finding for finding in result.verdict.warnings if finding.code == WAIVED)


def partial_note(result: Result) -> str | None:
    """What to say of a run that did not end by itself; None for a complete one."""
    interruption = next(
        (finding for finding in _findings(result) if finding.code == ReasonCode.INTERRUPTED), None
    )
    if interruption is not None:
        return interruption.sentence
    return None if result.ended_at else "The run has no recorded end: what follows is what had been stored."


def _findings(result: Result) -> tuple[Finding, ...]:
    return result.verdict.reasons + result.verdict.warnings


def observed(result: Result, number: int) -> str:
    """A count of what is compared: pairs of blocks, or blocks of a recording."""
    return some(number, "pair" if result.mode is Mode.PAIRED else "block")


def requests_sent(side: SideSummary) -> str:
    """The requests of a side with its failures: "12,000 (0.02 % failed)"."""
    if side.requests == 0:
        return "none"
    return f"{count(side.requests)} ({share(side.failed / side.requests)} failed)"
