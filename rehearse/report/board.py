"""The board under the verdict: what was compared, whether the data can be trusted, and what a decision needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rehearse.model import Mode, ReasonCode, Result, Side, SideSummary
from rehearse.report.headline import observed, requests_sent, some
from rehearse.report.units import MISSING, duration, instant, length, share
from rehearse.report.visible import shortened

_DECISION_LINE = re.compile(
    r"^[ \t]*(?:(?P<point>abort point|(?:abort )?decision point|decide[ _]by)|(?P<who>who decides|decider|decided by))"
    r"[ \t]*[:=][ \t]*(?P<text>\S.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING, _BULLET = re.compile(r"^#+ +(.+)$", re.MULTILINE), re.compile(r"^[ \t]*[-*] +", re.MULTILINE)
_PARAGRAPH_END = re.compile(r"\n\s*\n")
_MODES = {
    Mode.PAIRED: "both sides at the same moment",
    Mode.RECORDED: "the candidate against a stored recording",
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """One line of a list of facts."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Quality:
    """One line of the data quality strip; `state` is a word: ok, problem, assumed, unknown."""

    label: str
    lines: tuple[str, ...]
    state: str


@dataclass(frozen=True, slots=True)
class Version:
    """A fact of the targets, as each side told it."""

    key: str
    baseline: str
    candidate: str

    @property
    def is_changed(self) -> bool:
        """True when the two sides differ in it."""
        return self.baseline != self.candidate


@dataclass(frozen=True, slots=True)
class DecisionBox:
    """What whoever decides needs besides the verdict; an empty text is a line to fill in by hand."""

    point: str
    who: str
    plan: str
    plan_start: str


_BRACKETED = "the candidate with the mean of before it and after its undo, in one environment"


def compared(result: Result) -> tuple[Labelled, ...]:
    """What was held against what, with which load, and when."""
    return (
        Labelled("Baseline", result.baseline_name or "none stored: both sides were measured in this run"),
        Labelled("Compared", _MODES[result.mode] if result.cutover is None else _BRACKETED),
        Labelled("Load", _load(result)),
        Labelled("Started", instant(result.started_at)),
        Labelled("Ended", instant(result.ended_at) if result.ended_at else "not recorded"),
        Labelled("Run", result.run_id),
    )


def _load(result: Result) -> str:
    planned = max((side.arrivals.planned for side in result.sides), default=0)
    if not planned or result.load_s <= 0:
        return f"{length(result.load_s)} measured"
    return f"{planned / result.load_s:.3g} arrivals/s a side, {length(result.load_s)} measured"


def versions(sides: Sequence[SideSummary]) -> tuple[Version, ...]:
    """Every fact of both targets, the changed ones first."""
    baseline, candidate = _side(sides, Side.BASELINE), _side(sides, Side.CANDIDATE)
    told, new = baseline.facts if baseline else {}, candidate.facts if candidate else {}
    facts = [Version(key, told.get(key, MISSING), new.get(key, MISSING)) for key in sorted({*told, *new})]
    return tuple(sorted(facts, key=lambda version: (not version.is_changed, version.key != "version")))


def quality(result: Result) -> tuple[Quality, ...]:
    """The lines that say whether the numbers can be trusted; a reason of the verdict turns its line red."""
    codes = {finding.code for finding in result.verdict.reasons}
    return (
        _requests_quality(result, codes),
        _rig_quality(result.sides, codes),
        _discarded_quality(result, codes),
        _ledger_quality(result.sides, codes),
        _assumed_quality(len(result.verdict.assumptions)),
    )


def _assumed_quality(terms: int) -> Quality:
    return (
        Quality("Assumed", (some(terms, "term"),), "assumed")
        if terms
        else Quality("Assumed", ("nothing",), "ok")
    )


def _state(is_problem: bool, is_known: bool = True) -> str:
    return "problem" if is_problem else "ok" if is_known else "unknown"


def _requests_quality(result: Result, codes: set[str]) -> Quality:
    told = tuple(f"{side.side} {requests_sent(side)}" for side in result.sides) or ("none",)
    bad = {
        ReasonCode.NO_EVIDENCE,
        ReasonCode.LOAD_MISMATCH,
        ReasonCode.MISSING_ENDPOINT,
        ReasonCode.BASELINE_UNHEALTHY,
    }
    is_empty = not result.sides or any(side.requests == 0 for side in result.sides)
    return Quality("Requests", told, _state(is_empty or bool(bad & codes)))


def _rig_quality(sides: Sequence[SideSummary], codes: set[str]) -> Quality:
    lags = [side.rig_lag_p99_s for side in sides if side.rig_lag_p99_s is not None]
    cpus = [side.worker_cpu_ratio for side in sides if side.worker_cpu_ratio is not None]
    stalls = [side.stall_max_s for side in sides if side.stall_max_s is not None]
    late = f"lag p99 {duration(max(lags, default=None))}, longest stall {duration(max(stalls, default=None))}"
    text = (
        (late, f"CPU {share(max(cpus, default=None))} of a core")
        if lags or cpus or stalls
        else ("not measured",)
    )
    is_bad = bool({ReasonCode.RIG_UNHEALTHY, ReasonCode.WORKER_LOST} & codes)
    return Quality("Load generator", text, _state(is_bad, bool(lags and cpus and stalls)))


def _discarded_quality(result: Result, codes: set[str]) -> Quality:
    used, discarded = result.verdict.pairs_used, result.verdict.pairs_discarded
    text = f"{observed(result, used)} used, {discarded} discarded"
    is_spoiled = discarded > 0 and ReasonCode.RIG_UNHEALTHY in codes
    is_short = used == 0 or bool({ReasonCode.TOO_FEW_PAIRS, ReasonCode.NO_EVIDENCE} & codes)
    return Quality("Measured", (text,), _state(is_spoiled or is_short))


def _ledger_quality(sides: Sequence[SideSummary], codes: set[str]) -> Quality:
    wrong = [f"{side.side}: {imbalance}" for side in sides if (imbalance := side.arrivals.imbalance())]
    is_bad = bool(wrong) or ReasonCode.LEDGER in codes
    text = "; ".join(wrong) or ("does not add up" if is_bad else "balanced" if sides else MISSING)
    return Quality("Ledger", (text,), _state(is_bad, bool(sides)))


def decision_box(exit_plan: str) -> DecisionBox:
    """Lines such as "Decision point: ..." and "Who decides: ..." of the exit plan get a place of their own."""
    point = who = ""
    for match in _DECISION_LINE.finditer(exit_plan):
        text = match["text"].strip().strip("\"'")
        point, who = (point or text, who) if match["point"] else (point, who or text)
    rest = _HEADING.sub(r"\1:", _DECISION_LINE.sub("", exit_plan))
    paragraphs = [" ".join(one.split()) for one in _PARAGRAPH_END.split(_BULLET.sub("", rest))]
    told = " ".join(one if one[-1] in ".:;!?" else f"{one}." for one in paragraphs if one)
    return DecisionBox(point, who, exit_plan.strip(), shortened(told, 80))


def _side(sides: Iterable[SideSummary], side: Side) -> SideSummary | None:
    return next((summary for summary in sides if summary.side is side), None)
