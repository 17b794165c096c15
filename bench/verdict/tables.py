"""The results as Markdown tables and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.verdict.rehearsals import OURS
from bench.verdict.rows import Row, Target
from bench.verdict.tally import Tally, wilson
from rehearse.model import Decision

WORSE_THAN_ASSUMED = {"same/starts-3", "same/starts-5", "same/short-starts-5", "same/short-ar-0.7"}
Tallies = Mapping[str, Mapping[str, Tally]]  # by row, by rule
_TITLES = {
    "same": "Identical code",
    "margin": "Exactly at a margin, and at twice",
    "worse": "Worse",
    "guard": "The guard (GO stands for: it did not fire)",
    "trace": "Real traces, resampled",
    "curve": "The operating curve",
}


def group_of(row: Row) -> str:
    """The table that a row belongs to."""
    return row.name.split("/")[0]


def tables(rows: Sequence[Row], tallies: Tallies) -> str:
    """One table for each group: our answers, what was promised, and the peers'."""
    groups = list(dict.fromkeys(group_of(row) for row in rows if row.name in tallies))
    parts = []
    for group in groups:
        mine = [row for row in rows if group_of(row) == group and row.name in tallies]
        parts += [f"## {_TITLES[group]}", "", *_own_table(mine, tallies), ""]
        parts += [*_pooled(mine, tallies)] if group == "same" else []
        parts += _peers_table([row for row in mine if len(tallies[row.name]) > 1], tallies)
    return "\n".join(parts)


def _pooled(rows: Sequence[Row], tallies: Tallies) -> list[str]:
    """All rows together whose truth is no worse than what the judge assumes."""
    sound = [tallies[row.name][OURS] for row in rows if row.name not in WORSE_THAN_ASSUMED]
    pooled = Tally([answer for tally in sound for answer in tally.answers])
    share = _share(pooled, Decision.ABORT)
    return [f"All rows but those with starts beyond what is assumed: ABORT {share} of {pooled.runs:,}.", ""]


def _own_table(rows: Sequence[Row], tallies: Tallies) -> list[str]:
    lines = [
        "| truth | runs | GO | ABORT | INCONCLUSIVE | median to ABORT | target |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        tally = tallies[row.name][OURS]
        shares = [_share(tally, one) for one in (Decision.GO, Decision.ABORT, Decision.INCONCLUSIVE)]
        cells = [row.truth, str(tally.runs), *shares, _seconds(tally), _targets(row, tally)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _peers_table(rows: Sequence[Row], tallies: Tallies) -> list[str]:
    """ABORT / GO, in per cent; what is left said neither."""
    if not rows:
        return []
    rules = list(tallies[rows[0].name])
    lines = [f"| ABORT / GO, % | {' | '.join(rules)} |", f"|---{'|---' * len(rules)}|"]
    for row in rows:
        cells = [
            " / ".join(_percent(tallies[row.name][rule].share(one)) for one in (Decision.ABORT, Decision.GO))
            for rule in rules
        ]
        lines.append(f"| {row.truth} | {' | '.join(cells)} |")
    return [*lines, ""]


def missing_table(found: Mapping[str, Mapping[str, Sequence[Decision]]]) -> str:
    """Case by case: what each rule says; more than one word where the seeds differ."""
    rules = list(next(iter(found.values())))
    lines = [
        "### Missing evidence",
        "",
        f"| what is missing | {' | '.join(rules)} |",
        f"|---{'|---' * len(rules)}|",
    ]
    for case, answers in found.items():
        cells = [" ".join(sorted(set(answers[rule]))) if rule in answers else "" for rule in rules]
        lines.append(f"| {case} | {' | '.join(cells)} |")
    went = sum(decision is Decision.GO for answers in found.values() for decision in answers[OURS])
    return "\n".join(
        [*lines, "", f"GO from rehearse: {went} of {sum(len(a[OURS]) for a in found.values())}", ""]
    )


def _share(tally: Tally, decision: Decision) -> str:
    low, high = wilson(tally.count(decision), tally.runs)
    return f"{_percent(tally.share(decision))} % ({_percent(low)}-{_percent(high)})"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share * 100:.{0 if share in (0, 1) else 1}f}"


def _seconds(tally: Tally) -> str:
    median_s = tally.median_s(Decision.ABORT)
    return "" if median_s is None else f"{median_s:g} s"


def _targets(row: Row, tally: Tally) -> str:
    return "; ".join(f"{in_words(one)}: {_state(one, tally)}" for one in row.targets)


def _state(target: Target, tally: Tally) -> str:
    """Met, NOT MET, or not shown by so few rehearsals."""
    return "met" if tally.meets(target) else "NOT MET" if tally.refutes(target) else "not shown"


def in_words(target: Target) -> str:
    """ABORT >= 99 %, median <= 90 s."""
    parts = []
    if target.at_least > 0:
        parts.append(f">= {target.at_least * 100:g} %")
    if target.at_most < 1:
        parts.append(f"<= {target.at_most * 100:g} %" if target.at_most else "never")
    if target.upper_at_most < 1:
        parts.append(f"upper <= {target.upper_at_most * 100:g} %")
    if target.median_at_most_s is not None:
        parts.append(f"median <= {target.median_at_most_s:g} s")
    return f"{target.decision} {', '.join(parts)}"


def as_json(rows: Sequence[Row], tallies: Tallies) -> list[dict[str, object]]:
    """Every row with its counts, shares, intervals and times."""
    return [
        {
            "row": row.name,
            "truth": row.truth,
            "targets": {in_words(one): tallies[row.name][OURS].meets(one) for one in row.targets},
            "rules": {rule: _tally_as_json(tally) for rule, tally in tallies[row.name].items()},
        }
        for row in rows
        if row.name in tallies
    ]


def _tally_as_json(tally: Tally) -> dict[str, object]:
    return {
        "runs": tally.runs,
        **{decision: _decision_as_json(tally, decision) for decision in Decision},
        "median_to_abort_s": tally.median_s(Decision.ABORT),
    }


def _decision_as_json(tally: Tally, decision: Decision) -> dict[str, object]:
    low, high = wilson(tally.count(decision), tally.runs)
    return {"count": tally.count(decision), "share": tally.share(decision), "low": low, "high": high}
