"""The last lines on the terminal: the verdict first, at most three reasons, and what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.model import Decision, Finding, Mode, Outcome, ReasonCode, Result, Scope, Verdict
from rehearse.report.headline import NEXT_STEPS, next_step, partial_note, why
from rehearse.report.terminal import summary_lines
from tests.report.contracts import changed
from tests.report.examples import EXAMPLES, abort, empty, go, inconclusive, partial
from tests.report.pages import Make, find_all, text_of, tree

EVERY_KIND = pytest.mark.parametrize("make", [*EXAMPLES.values(), empty], ids=[*EXAMPLES, "EMPTY"])


@EVERY_KIND
def test_the_first_word_is_the_verdict_of_the_page(make: Make) -> None:
    (heading,) = find_all(tree(make), "h1")
    assert summary_lines(make(), None)[0].split(":")[0].split(" (")[0] == text_of(heading)


@EVERY_KIND
def test_it_is_short_and_plain(make: Make) -> None:
    lines = summary_lines(make(), "reports/r1/report.html")
    assert len(lines) <= 12
    assert all(line.isascii() and line == line.strip() and 0 < len(line) <= 300 for line in lines)


def test_abort_tells_three_reasons_and_how_many_more() -> None:
    lines = summary_lines(abort(), None)
    assert [line[:2] for line in lines[1:4]] == ["1.", "2.", "3."]
    assert lines[1].endswith(abort().verdict.reasons[0].sentence)
    assert lines[4] == f"and {len(abort().verdict.reasons) - 3} more reasons in the report"


def test_a_task_takes_no_place_of_another_break() -> None:
    result = abort()
    first, second, *rest = result.verdict.reasons
    (cell,) = (one.cell for one in result.verdict.judgements if one.cell.label == first.subject)
    twin_cell = replace(cell, scope=Scope.TASK, name="Shopper.task")
    judgement = next(one for one in result.verdict.judgements if one.cell == cell)
    twin = replace(first, subject=twin_cell.label)
    verdict = replace(
        result.verdict,
        reasons=(first, twin, second, *rest),
        judgements=(*result.verdict.judgements, replace(judgement, cell=twin_cell)),
    )
    lines = summary_lines(replace(result, verdict=verdict), None)
    assert [line[3:] for line in lines[1:4]] == [first.sentence, second.sentence, rest[0].sentence]
    assert lines[4] == f"and {len(verdict.reasons) - 3} more reasons in the report"


def test_many_changes_of_the_contract_do_not_hide_that_requests_fail_too() -> None:
    (broken, *_), worse = changed().verdict.reasons, abort().verdict.reasons
    other = replace(
        broken, subject="contract: GET /search 200 $.n type", sentence="$.n: number became string"
    )
    verdict = replace(abort().verdict, reasons=(broken, other, *worse))
    lines = summary_lines(replace(abort(), verdict=verdict), None)
    assert [line[3:] for line in lines[1:4]] == [broken.sentence, worse[0].sentence, other.sentence]


def test_go_tells_what_was_certified_and_what_had_least_to_spare() -> None:
    lines = summary_lines(go(), None)
    assert lines[0] == (
        "GO: Nothing got worse by more than the margins allow: proven in 18 certified cells; 9 more cells only watched."
    )
    assert "at worst" in lines[1]
    assert "allowed" in lines[1]


def test_numbers_of_cells_pairs_and_requests_are_told() -> None:
    lines = "\n".join(summary_lines(abort(), None))
    assert "30 cells: 10 worse, 1 unknown, 12 ok, 7 only watched; 23 pairs used, 1 discarded" in lines
    assert "Requests, baseline: 12,000 (" in lines
    assert "Requests, candidate: 12,000 (" in lines


def test_a_recording_has_blocks_not_pairs() -> None:
    assert "24 blocks used" in "\n".join(summary_lines(replace(go(), mode=Mode.RECORDED), None))


def test_the_end_says_where_the_report_is_and_what_to_do() -> None:
    assert summary_lines(abort(), "reports/r1/report.html")[-2:] == [
        "Report: reports/r1/report.html",
        f"Next: {NEXT_STEPS[ReasonCode.WORSE]}",
    ]
    assert summary_lines(abort(), None)[-2] == "Report: `rehearse report 2026-11-21-0331-shop-7c1f` writes it"


def test_a_long_path_is_never_cut() -> None:
    path = "/very/long" * 60 + "/report.html"
    assert f"Report: {path}" in summary_lines(go(), path)


def test_a_partial_run_says_so_in_the_first_line() -> None:
    assert summary_lines(partial(), None)[0].startswith("INCONCLUSIVE (partial run): ")
    assert "partial" not in " ".join(summary_lines(inconclusive(), None))
    assert partial_note(go()) is None


# one sentence why, and what to do next


def test_every_reason_has_a_next_step() -> None:
    assert set(NEXT_STEPS) == set(ReasonCode)
    assert all(step.endswith((".", "`")) for step in NEXT_STEPS.values())


def _because(decision: Decision, *codes: str) -> Result:
    reasons = tuple(Finding(Outcome.FAIL, code, "load", "It failed.") for code in codes)
    return replace(empty(), verdict=Verdict(decision, reasons))


@pytest.mark.parametrize("code", list(ReasonCode))
def test_the_first_known_reason_decides_what_to_do(code: ReasonCode) -> None:
    assert next_step(_because(Decision.INCONCLUSIVE, "of_a_newer_version", code)) == NEXT_STEPS[code]


@pytest.mark.parametrize("decision", [Decision.ABORT, Decision.INCONCLUSIVE])
def test_without_a_known_reason_nothing_is_promoted_either(decision: Decision) -> None:
    assert next_step(_because(decision)).startswith("Do not promote")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (_because(Decision.ABORT, ReasonCode.GUARD), "guard stopped the load"),
        (_because(Decision.ABORT, ReasonCode.LIMIT), "never acceptable"),
        (_because(Decision.ABORT, ReasonCode.CONTRACT), "not what clients rely on"),
        (_because(Decision.ABORT, "of_a_newer_version"), "failed the rehearsal"),
        (abort(), "proven worse in 10 of 30 cells"),
        (inconclusive(), "neither that the candidate is safe nor that it is worse"),
        (go(), "proven in 18 certified cells"),
    ],
    ids=["guard", "limit", "contract", "something else", "cells", "open", "go"],
)
def test_one_sentence_says_why(result: Result, expected: str) -> None:
    assert expected in why(result)
    assert why(result).count(".") == 1


def test_what_nothing_may_rest_on_says_so_and_nobody_is_told_to_sign_off() -> None:
    lines = summary_lines(replace(go(), is_advisory=True), None)
    assert "Advisory: this was run with --advisory: nothing may be promoted on it." in lines
    assert "sign off" not in lines[-1]
    other = summary_lines(replace(go(), other_policy=("p50: at most +20 %, was at most +5 %",)), None)
    assert any(line.startswith("Other objectives: ") and "p50: at most +20 %" in line for line in other)


def test_an_abort_that_nothing_rests_on_is_still_not_to_be_promoted() -> None:
    assert summary_lines(replace(abort(), is_advisory=True), None)[-1].startswith("Next: Do not promote.")


def needing(*seconds: float | None) -> Result:
    findings = tuple(
        Finding(Outcome.INCONCLUSIVE, ReasonCode.NOISE, "GET /x p95", "s", numbers={"more_load_s": more})
        for more in seconds
    )
    return replace(inconclusive(), load_s=300, verdict=Verdict(Decision.INCONCLUSIVE, reasons=findings))


def test_where_more_load_settles_every_reason_the_next_step_is_a_budget() -> None:
    assert next_step(needing(60.0, 200.0)).startswith("Rehearse again with a load.budget of about 9 min")


@pytest.mark.parametrize("seconds", [(None,), (60.0, None)], ids=["none", "one of them is not"])
def test_where_a_reason_is_not_settled_by_load_no_budget_is_named(seconds: tuple[float | None, ...]) -> None:
    assert "load.budget" not in next_step(needing(*seconds))
