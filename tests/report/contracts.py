"""A result whose candidate answers otherwise: what gates, what warns, what somebody waived, and what is only told.

And one in which everything is that a result can hold.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from rehearse.judge.checks import subject_of
from rehearse.judge.contract import finding_of
from rehearse.judge.edges import edge_faults
from rehearse.judge.waivers import waived_finding
from rehearse.model import (
    ContractChange,
    Decision,
    Finding,
    Outcome,
    ReasonCode,
    Result,
    Scope,
    SignOff,
    StageStanding,
    Waiver,
    Weight,
)
from tests.report.cutovers import CUTOVER
from tests.report.examples import abort, go

_WAIVER = Waiver(
    "contract: GET /orders/{id} 200 $.items[*].note null",
    "Mara Lind",
    "the app shows an empty note since 3.9",
    "2026-12-31",
)


def _change(
    place: str, what: str, weight: Weight, words: str, before: str = "", after: str = "", **more: object
) -> ContractChange:
    sentence = f"GET /orders/{{id}} 200 {place}: {words} (in 98 of 98 answers; known-good: 0 of 203)"
    whole = ContractChange(
        "GET /orders/{id}", 200, place, what, weight, sentence, before, after, 0, 203, 98, 98, 1.2e-80
    )
    return replace(whole, **more)  # type: ignore[arg-type]


CHANGES = (
    _change("$.total", "type", Weight.GATE, "number became string", "100.5", '"100.50"'),
    _change("$.paid_at", "format", Weight.GATE, "time with offset became time without offset",
            '"2026-11-21T10:00:00+00:00"', '"2026-11-21T10:00:00"'),
    _change("$.items[*].note", "null", Weight.GATE, "null appeared", '"gift"', "null", waiver=_WAIVER),
    _change("header content-type", "header", Weight.GATE, "'text/html' is new, where there were only application/json",
            "application/json", "text/html", endpoint="GET /search"),
    _change("$.state", "enum", Weight.WARN, "'settled' is new, where there were only new, paid",
            "new, paid", "settled"),
    _change("$.currency", "new key", Weight.NOTE, "it is new", "", '"EUR"', p_value=None),
)  # fmt: skip


SIGN_OFFS = (
    SignOff(Decision.ABORT, "Mara Lind", "totals are wrong", "2026-11-21T12:00:00+00:00", Decision.ABORT, "0" * 64),
    SignOff(
        Decision.GO, "Mara Lind", "the app hides it", "2026-11-21T12:30:00+00:00", Decision.ABORT, "0" * 64,
        second="Jo Park", ci={"GITHUB_ACTOR": "mara"},
    ),
)  # fmt: skip
STAGES = (
    StageStanding(
        "dev",
        "20261120-090000-comparison-00aa",
        "2026-11-20T09:00:00+00:00",
        Decision.GO,
        Decision.GO,
        "comparison",
    ),
    StageStanding(
        "dev", "20261120-100000-cutover-00ab", "2026-11-20T10:00:00+00:00", Decision.ABORT, None, "cutover"
    ),
    StageStanding("production"),
)


@cache
def changed() -> Result:
    """Nothing got slower, and clients break all the same."""
    result = go()
    gating = [one for one in CHANGES if one.weight is Weight.GATE and one.waiver is None]
    verdict = replace(
        result.verdict,
        decision=Decision.ABORT,
        reasons=tuple(map(finding_of, gating)),
        warnings=(waived_finding(finding_of(CHANGES[2]), _WAIVER), finding_of(CHANGES[4])),
        contract=CHANGES,
        contracts_compared=9,
    )
    return replace(result, verdict=verdict)


@cache
def everything() -> Result:
    """An ABORT with something of each kind: cells, series, checks, edge cases, answers, data, capacity, a waiver, what
    people decided, here and in other stages, a cutover.

    Not much of it: hostile texts are put into all of it, many times.
    """
    result = abort()
    cells = result.verdict.judgements
    series = tuple(one for one in cells if one.cell.scope is Scope.SERIES)
    edge = edge_faults([one.record for one in result.edges], ())[0].finding
    check = Finding(
        Outcome.FAIL, ReasonCode.CHECK_FAILED, subject_of(result.checks[0]), "It is back.", is_hard=True
    )
    verdict = replace(
        result.verdict,
        reasons=(check, edge, finding_of(CHANGES[0]), *result.verdict.reasons),
        warnings=(waived_finding(finding_of(CHANGES[2]), _WAIVER), result.verdict.reasons[-1]),
        judgements=(*cells[:9], *series),
        contract=CHANGES,
        contracts_compared=9,
    )
    return replace(
        result,
        verdict=verdict,
        curves=result.curves[:4],
        timeline=result.timeline[:9],
        other_policy=("p95: +10 % then, +5 % now",),
        sign_offs=SIGN_OFFS,
        stages=STAGES,
        cutover=CUTOVER,
    )
