"""Whether a candidate may be promoted: by stored runs of exactly it, under exactly this policy. Closed by default.

The newest run of a kind speaks for all of them: a GO of yesterday does not outlive an ABORT of today. A run that never
said which candidate it was is not one of another candidate: it closes, and never opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rehearse.errors import ExitCode
from rehearse.exit_plan import Freeze
from rehearse.model import Decision, RunKind, RunState, SignOff

_CLOCKS_DIFFER = timedelta(minutes=5)  # between who rehearsed and who promotes


@dataclass(frozen=True, slots=True)
class GateTerms:
    """What is asked, of which candidate."""

    candidate: Mapping[str, str]  # facts, all of which must be the run's
    policy: str  # the hash
    requires: tuple[RunKind, ...]
    max_age_s: float
    needs_sign_off: bool = False
    stage: str = ""  # empty: whichever
    freeze: tuple[Freeze, ...] = ()


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One stored run, as far as a gate looks at it."""

    run_id: str
    kind: RunKind
    state: RunState
    started_at: str
    facts: Mapping[str, str]  # of its candidate; none: it did not come so far as to say
    policy: str
    stage: str
    is_advisory: bool

    def is_of_another(self, candidate: Mapping[str, str]) -> bool:
        """Whether it said something else of its candidate; one that said nothing may have been any."""
        return any(self.facts.get(key, value) != value for key, value in candidate.items())

    def unsaid(self, candidate: Mapping[str, str]) -> tuple[str, ...]:
        """The facts that it did not say."""
        return tuple(key for key in candidate if key not in self.facts)


@dataclass(frozen=True, slots=True)
class Found:
    """What its evidence says now. With `trouble` it says nothing."""

    decision: Decision = Decision.INCONCLUSIVE
    verdict_digest: str = ""
    sign_offs: tuple[SignOff, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class GateRuling:
    """Open only with GO; the sentences say why, one for each kind of run."""

    code: ExitCode
    sentences: tuple[str, ...]
    run_ids: tuple[str, ...] = ()
    schema_version: int = 1

    @property
    def is_open(self) -> bool:
        """Whether the candidate may be promoted."""
        return self.code is ExitCode.GO


def rule_on(
    terms: GateTerms, runs: Sequence[Rehearsed], look: Callable[[Rehearsed], Found], now: datetime
) -> GateRuling:
    """The ruling at `now`; `runs` are newest first, and `look` reads the evidence of the few that count."""
    frozen = [window for window in terms.freeze if window.holds_at(now)]
    if frozen:
        sentence = f"nothing is promoted from {frozen[0].begins} to {frozen[0].ends}: {frozen[0].reason}"
        return GateRuling(ExitCode.NOT_READY, (sentence,))
    if not terms.requires or not terms.candidate:
        return GateRuling(
            ExitCode.NOT_READY, ("no kind of run and no candidate is named: nothing can be proven",)
        )
    rulings = [_rule_on_kind(terms, kind, runs, look, now) for kind in terms.requires]
    closed = [ruling for ruling in rulings if not ruling.is_open]
    worst = min(
        (ruling.code for ruling in closed), default=ExitCode.GO
    )  # ABORT before INCONCLUSIVE before the rest
    return GateRuling(
        worst,
        tuple(sentence for ruling in closed or rulings for sentence in ruling.sentences),
        tuple(run_id for ruling in rulings for run_id in ruling.run_ids),
    )


def _rule_on_kind(
    terms: GateTerms,
    kind: RunKind,
    runs: Sequence[Rehearsed],
    look: Callable[[Rehearsed], Found],
    now: datetime,
) -> GateRuling:
    left = [run for run in runs if run.kind is kind]
    for is_fit, why_not in _sieves(terms, kind):
        fit = [run for run in left if is_fit(run)]
        if not fit:
            newest = f"; the newest one that is: {_described(left[0])}" if left else ""
            return GateRuling(ExitCode.NOT_READY, (f"{why_not}{newest}",))
        left = fit
    run = left[0]
    code, sentence = _by_run(terms, run, look, now)
    return GateRuling(code, (f"{kind} {run.run_id}: {sentence}",), (run.run_id,))


def _by_run(
    terms: GateTerms, run: Rehearsed, look: Callable[[Rehearsed], Found], now: datetime
) -> tuple[ExitCode, str]:
    if run.state is RunState.RUNNING:
        how = "it is under way, or was killed. Wait, or rehearse again"
        return ExitCode.NOT_READY, f"is the newest, and has not finished{_unsaid(terms, run)}: {how}"
    if late := _out_of_time(terms, run, now):
        return ExitCode.NOT_READY, late
    code, sentence = _by_evidence(terms, look(run))
    unsaid = _unsaid(terms, run)
    if unsaid and code is ExitCode.GO:
        code = ExitCode.NOT_READY
    return code, f"{sentence}{unsaid}{'. Rehearse again, with `facts` of its target' if unsaid else ''}"


def _unsaid(terms: GateTerms, run: Rehearsed) -> str:
    unsaid = ", ".join(run.unsaid(terms.candidate))
    return f", and never said {unsaid} of its candidate, which may have been this one" if unsaid else ""


def _sieves(terms: GateTerms, kind: RunKind) -> Iterator[tuple[Callable[[Rehearsed], bool], str]]:
    named = ", ".join(f"{key} {value}" for key, value in terms.candidate.items())
    yield (lambda _: True), f"no {kind} is stored"
    yield (
        lambda run: not run.is_of_another(terms.candidate),
        f"no {kind} is of the candidate {named}",
    )
    yield (
        lambda run: run.policy == terms.policy,
        f"no {kind} of {named} is under this policy ({terms.policy[:12]}): what is rehearsed or accepted has changed",
    )
    yield (
        lambda run: terms.stage in ("", run.stage),
        f"no {kind} of {named} was in stage {terms.stage!r}",
    )
    yield (lambda run: not run.is_advisory), f"every {kind} of {named} was advisory: nothing rests on those"


def _described(run: Rehearsed) -> str:
    facts = ", ".join(f"{key} {value}" for key, value in run.facts.items()) or "nothing that its target said"
    stage = f", stage {run.stage}" if run.stage else ""
    return f"{run.run_id} (of {facts}; policy {run.policy[:12]}{stage})"


def _out_of_time(terms: GateTerms, run: Rehearsed, now: datetime) -> str:
    """By its begin: that is sealed with the evidence."""
    age = now - datetime.fromisoformat(run.started_at)
    if age < -_CLOCKS_DIFFER:
        return f"began {-age} in the future; look at the clocks"
    if age > timedelta(seconds=terms.max_age_s):
        hours = terms.max_age_s / 3600
        return (
            f"has expired: it began {age.total_seconds() / 3600:.1f} h ago, and gate.max_age is {hours:g} h"
        )
    return ""


def _by_evidence(terms: GateTerms, found: Found) -> tuple[ExitCode, str]:
    if found.trouble:
        return ExitCode.NOT_READY, found.trouble
    last = found.sign_offs[-1] if found.sign_offs else None
    if last is not None and last.decision is not Decision.GO:
        return ExitCode.ABORT, f"{last.person} decided {last.decision}: {last.reason}"
    if last is not None and last.verdict_digest != found.verdict_digest:
        last = None  # it was about another verdict
    if found.decision is Decision.GO:
        if terms.needs_sign_off and last is None:
            return (
                ExitCode.NOT_READY,
                "is GO, and nobody has signed this verdict, which gate.sign_off asks for",
            )
        return ExitCode.GO, "GO" + (f", signed by {last.person}" if last is not None else "")
    refusal = ExitCode[found.decision]
    if last is None:
        return refusal, f"is {found.decision}, and nobody has overridden this verdict"
    if not are_two(last.person, last.second):
        return (
            refusal,
            f"is {found.decision}, and only {last.person} has overridden it: a second person is needed",
        )
    return ExitCode.GO, f"{found.decision}, overridden by {last.person} and {last.second}: {last.reason}"


def are_two(person: str, second: str) -> bool:
    """Whether these are two names, and not one in two spellings."""
    names = {" ".join(name.casefold().split()) for name in (person, second)}
    return len(names) == 2 and "" not in names
