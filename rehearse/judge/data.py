"""The data that the sides worked on: the same set, about as many rows, and not a toy beside production's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rehearse.judge.faults import Fault, fault
from rehearse.judge.wording import share
from rehearse.model import DataRules, DataState, Evidence, Finding, Mode, Moment, Outcome, ReasonCode, Side

SMALL_DATA, UNKNOWN_DATA = "small_data", "unknown_data"
_MOST_NAMED = 5
_FEWEST_ROWS = 1000  # a smaller difference slows nothing down
_SUBJECT = "state"


def states_before(evidence: Evidence) -> Mapping[Side, DataState]:
    """What each side had before the load; in recorded mode the baseline's is the stored one."""
    stored = evidence.reference.data if evidence.reference is not None else ()
    known = evidence.data if evidence.mode is Mode.PAIRED else (*stored, *evidence.data)
    return {one.side: one for one in known if one.moment is Moment.BEFORE}


def data_faults(evidence: Evidence) -> list[Fault]:
    """What makes two sides incomparable, but for what was declared."""
    rules, states = evidence.policy.data, states_before(evidence)
    if rules is None or len(states) < len(Side):
        return []
    baseline, candidate = (states[side] for side in Side)
    return [*_another_set(rules, baseline, candidate), *_other_rows(rules, baseline, candidate)]


def _another_set(rules: DataRules, baseline: DataState, candidate: DataState) -> list[Fault]:
    if baseline.data_set == candidate.data_set or "state.data_set" in rules.declared:
        return []
    sentence = (
        f"the sides work on different data: data_set is {baseline.data_set!r} on the baseline and "
        f"{candidate.data_set!r} on the candidate"
    )
    return [fault(ReasonCode.NOT_COMPARABLE, _SUBJECT, sentence)]


def _other_rows(rules: DataRules, baseline: DataState, candidate: DataState) -> list[Fault]:
    """A candidate with fewer rows can only hide a worsening; one with more can feign it."""
    found = []
    for name in sorted({*baseline.rows, *candidate.rows}):
        if {"state.rows", f"state.rows.{name}"} & set(rules.declared):
            continue
        then, now = baseline.rows.get(name, 0), candidate.rows.get(name, 0)
        if abs(now - then) > max(rules.most_difference_ratio * max(then, now), _FEWEST_ROWS):
            sentence = (
                f"the sides work on different amounts of data: {then:,} {name} on the baseline and {now:,} on the "
                f"candidate, more than {share(rules.most_difference_ratio)} apart (state.rows.{name})"
            )
            is_less = now < then
            found.append(
                fault(
                    ReasonCode.NOT_COMPARABLE,
                    _SUBJECT,
                    sentence,
                    allows_abort=is_less,
                    baseline=then,
                    candidate=now,
                )
            )
    return found


def data_warnings(evidence: Evidence) -> list[Finding]:
    """What a reader must know of the data, and what decides nothing."""
    rules, states = evidence.policy.data, states_before(evidence)
    if rules is None:
        return []
    silent = [side for side in Side if side not in states]
    unknown = [
        Finding(Outcome.INCONCLUSIVE, UNKNOWN_DATA, _SUBJECT, f"what data the {side} worked on is not known")
        for side in silent
    ]
    small = [_small(name, part, rows) for name, part, rows in _far_smaller(rules, list(states.values()))]
    if not small:
        return unknown
    more = f" and {len(small) - _MOST_NAMED} more" if len(small) > _MOST_NAMED else ""
    sentence = (
        f"staging has far less data than production: {'; '.join(small[:_MOST_NAMED])}{more}. Queries, migrations and "
        "caches may behave differently there"
    )
    return [*unknown, Finding(Outcome.FAIL, SMALL_DATA, _SUBJECT, sentence)]


def _far_smaller(rules: DataRules, states: Sequence[DataState]) -> list[tuple[str, float, int]]:
    """(name, part of production, rows) of each kind of which the smaller side has too small a part."""
    found = []
    for name, there in sorted(rules.production_rows.items()):
        here = min((state.rows.get(name, 0) for state in states), default=0)
        if states and here < rules.least_of_production_ratio * there:
            found.append((name, here / there, here))
    return sorted(found, key=lambda one: one[1])


def _small(name: str, part: float, rows: int) -> str:
    return f"{rows:,} {name}, {share(part)} of production's"
