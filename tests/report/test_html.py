"""The page: complete, well formed, self-contained, and the same each time."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from rehearse import report
from rehearse.codec import to_bytes
from rehearse.model import Decision, Finding, Judgement, Metric, Mode, Objective, Outcome, Role
from rehearse.report.html import render_html
from rehearse.report.page import page_of
from rehearse.report.ranking import Split, ranked
from tests.report.contracts import everything
from tests.report.cutovers import cutover
from tests.report.examples import EXAMPLES, abort, empty, go, inconclusive, partial
from tests.report.pages import Make, by_id, find_all, parsed, tag, text_of, tree, tree_of

REPORT = Path(report.__file__).parent
PAGES = {**EXAMPLES, "EMPTY": empty, "EVERYTHING": everything, "CUTOVER": cutover}
EVERY_KIND = pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)


@EVERY_KIND
def test_a_page_parses_without_one_error(make: Make) -> None:
    assert text_of(tree(make))


@EVERY_KIND
def test_the_first_heading_is_the_verdict_word(make: Make) -> None:
    result = make()
    root = tree(make)
    assert [text_of(heading) for heading in find_all(root, "h1")] == [result.verdict.decision]
    (title,) = [element for element in find_all(root, "title") if element.get("id") is None]
    assert text_of(title).startswith(f"{result.verdict.decision}:")


@EVERY_KIND
def test_every_judgement_is_in_the_cells_with_its_word_and_sentence(make: Make) -> None:
    result = make()
    root = tree(make)
    for row in ranked(result.verdict):
        cell = text_of(by_id(root, row.anchor))
        assert row.judgement.cell.name in cell
        assert row.judgement.outcome in cell
        assert " ".join(row.judgement.sentence.split()) in cell


@EVERY_KIND
def test_every_finding_is_there_with_sentence_code_and_numbers(make: Make) -> None:
    result = make()
    root = tree(make)
    findings = result.verdict.reasons + result.verdict.warnings
    for position, finding in enumerate(findings, start=1):
        shown = text_of(by_id(root, f"finding-{position}"))
        assert finding.sentence in shown
        assert finding.code in shown
        assert all(name in shown for name in finding.numbers)


@EVERY_KIND
def test_every_assumption_blind_spot_and_provenance_entry_is_told_once(make: Make) -> None:
    result = make()
    shown = text_of(tree(make))
    spots = [spot for spot in result.blind_spots if "assumed, not measured" not in spot]
    for text in (*result.verdict.assumptions, *spots):
        assert shown.count(" ".join(text.split())) == 1
    for text in (*result.provenance.values(), result.command, result.effective_config, result.exit_plan):
        assert " ".join(text.split()) in shown


@EVERY_KIND
def test_nothing_missing_is_shown_as_none_or_nan(make: Make) -> None:
    assert not re.search(r"\b(None|nan|inf|NaN)\b", text_of(tree(make)))


@EVERY_KIND
def test_the_same_result_gives_the_same_bytes(make: Make) -> None:
    assert render_html(make()) == render_html(replace(make()))


@EVERY_KIND
def test_a_page_asks_for_nothing_and_runs_nothing(make: Make) -> None:
    root = tree(make)
    assert not list(
        find_all(root, "script", "iframe", "object", "embed", "form", "img", "base", "audio", "video")
    )
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on"), f"{tag(element)} has {name}"
            assert name != "style", f"{tag(element)} has a style attribute"
            if name.rsplit("}", 1)[-1] in {"src", "href", "srcset", "data", "action"}:
                assert value.startswith("#") or value == "data:,", f"{tag(element)} points to {value}"


@EVERY_KIND
def test_links_lead_to_one_place_each(make: Make) -> None:
    root = tree(make)
    ids = [element.get("id") for element in root.iter() if element.get("id") is not None]
    assert len(ids) == len(set(ids))
    links = [element.get("href", "")[1:] for element in find_all(root, "a")]
    named = [name for element in root.iter() for name in element.get("aria-labelledby", "").split()]
    assert {*links, *named} <= set(ids)


def test_the_policy_allows_the_one_style_sheet_and_nothing_else() -> None:
    root = tree(go)
    (style,) = find_all(root, "style")
    (policy,) = [
        meta.get("content", "")
        for meta in find_all(root, "meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    digest = base64.b64encode(hashlib.sha256((style.text or "").encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert "url(" not in (style.text or "")
    assert "@import" not in (style.text or "")


def test_no_template_opens_a_door() -> None:
    for path in (REPORT / "templates").iterdir():
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape|<script|\sstyle=|\son\w+=|https?:", source), path.name
    for path in REPORT.glob("*.py"):
        assert "Markup(" not in path.read_text(encoding="utf-8"), path.name


def test_the_page_names_the_digest_of_result_json() -> None:
    shown = text_of(tree(go))
    digest = hashlib.sha256(to_bytes(go())).hexdigest()
    assert f"sha256 {digest}" in shown
    assert f"signs result.json {digest[:16]}" in shown


# the first screen


def test_abort_names_the_worst_reasons_and_links_down_to_their_cells() -> None:
    root = tree(abort)
    (reasons,) = [element for element in find_all(root, "ol") if element.get("class") == "reasons"]
    links = list(find_all(reasons, "a"))
    assert [text_of(link) for link in links] == [finding.sentence for finding in abort().verdict.reasons[:3]]
    assert [link.get("href") for link in links] == ["#cell-1", "#cell-2", "#cell-3"]


def test_go_names_the_cells_with_the_least_to_spare_tightest_first() -> None:
    page = page_of(go())
    by_anchor = {row.anchor: row.judgement for row in page.cells.shown}
    used = [(j.upper_bound or 0) / (j.margin or 1) for j in (by_anchor[r.anchor] for r in page.reasons)]
    assert used == sorted(used, reverse=True)
    assert len(used) == 3
    assert all("allowed" in reason.sentence for reason in page.reasons)


def test_go_shows_every_certified_cell_and_abort_folds_what_did_not_change() -> None:
    certified = [row for row in ranked(go().verdict) if row.judgement.cell.role is Role.CERTIFY]
    assert set(certified) <= set(page_of(go()).cells.shown)
    folded = page_of(abort()).cells.same
    assert folded
    assert all(row.judgement.outcome is Outcome.PASS for row in folded)


def _as_watched(outcome: Outcome | None = None) -> Split:
    whole = inconclusive()
    watched = tuple(
        replace(
            judgement, cell=replace(judgement.cell, role=Role.WATCH), outcome=outcome or judgement.outcome
        )
        for judgement in whole.verdict.judgements
    )
    return page_of(replace(whole, verdict=replace(whole.verdict, judgements=watched))).cells


def test_what_was_only_watched_is_folded_while_it_is_open_and_never_when_it_is_worse() -> None:
    assert {row.judgement.outcome for row in _as_watched().watched} == {Outcome.INCONCLUSIVE}
    assert not _as_watched().shown
    worse = _as_watched(Outcome.FAIL)
    assert (len(worse.shown), worse.watched, worse.same) == (27, (), ())


def test_remarks_are_folded_and_not_counted_as_warnings() -> None:
    remark = Finding(Outcome.INCONCLUSIVE, "only_watched", "GET / p50", "GET / p50: only watched")
    warned = replace(go().verdict, warnings=(*go().verdict.warnings, remark))
    page = page_of(replace(go(), verdict=warned))
    assert (page.warnings, len(page.remarks)) == (1, 1)
    assert "1 more remark:" in text_of(by_id(tree_of(replace(go(), verdict=warned)), "findings"))


def test_worse_cells_come_first_then_open_ones_then_passed_ones() -> None:
    order = [Outcome.FAIL, Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.PASS]
    for make in EXAMPLES.values():
        outcomes = [order.index(row.judgement.outcome) for row in ranked(make().verdict)]
        assert outcomes == sorted(outcomes)


def test_a_partial_run_has_a_banner_and_a_complete_one_has_none() -> None:
    assert "Partial run: The run was stopped by SIGTERM after 6 of 24 pairs." in text_of(tree(partial))
    assert "Partial run" not in text_of(tree(inconclusive))


def test_a_run_without_an_end_is_called_partial_whatever_its_reasons_say() -> None:
    assert "Partial run:" in text_of(tree_of(replace(go(), ended_at="")))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (go, ["ok", "ok", "ok", "ok", "assumed"]),
        (inconclusive, ["ok", "problem", "problem", "ok", "assumed"]),
        (empty, ["problem", "unknown", "problem", "unknown", "ok"]),
    ],
    ids=["healthy", "late rig", "nothing recorded"],
)
def test_the_quality_strip_says_in_words_what_can_be_trusted(make: Make, expected: list[str]) -> None:
    assert [item.state for item in page_of(make()).quality] == expected


def test_an_unbalanced_ledger_is_a_problem_with_its_numbers() -> None:
    side = go().sides[0]
    wrong = replace(side, arrivals=replace(side.arrivals, ok=1))
    ledger = page_of(replace(go(), sides=(wrong,))).quality[3]
    assert ledger.state == "problem"
    assert "!=" in ledger.lines[0]


def test_the_decision_box_lifts_its_lines_out_of_the_exit_plan() -> None:
    box = page_of(go()).decision
    assert box.point.startswith("T+20 min")
    assert box.who.startswith("release engineer on duty")
    assert box.plan_start.startswith("1. Stop the roll-out")


@pytest.mark.parametrize(
    ("plan", "point", "who"),
    [
        ('decide_by = "T+20m"\ndecider = "on call"', "T+20m", "on call"),
        ("Abort point: noon", "noon", ""),
        ("Go back by hand.", "", ""),
        ("", "", ""),
    ],
    ids=["as in the configuration", "one line", "prose", "none"],
)
def test_other_spellings_of_the_exit_plan_are_understood_or_left_alone(
    plan: str, point: str, who: str
) -> None:
    box = page_of(replace(go(), exit_plan=plan)).decision
    assert (box.point, box.who) == (point, who)


def test_what_nobody_wrote_down_is_a_line_to_fill_in() -> None:
    blanks = [e for e in find_all(tree(empty), "span") if e.get("class") == "blank"]
    assert len(blanks) == 6  # decision point, who decides, name, role, time, decision


def test_changed_versions_come_first_and_both_are_named() -> None:
    versions = page_of(go()).versions
    assert [version.key for version in versions[:2]] == ["version", "postgres"]
    assert "4.1.7 → 4.2.0" in text_of(tree(go))


def test_warnings_of_a_go_are_named_on_the_first_screen() -> None:
    (board,) = [e for e in find_all(tree(go), "div") if e.get("class") == "board"]
    assert "1 warning" in text_of(board)


# missing values


def _without_numbers(judgement: Judgement) -> Judgement:
    objective = Objective(judgement.cell.metric, None)
    return Judgement(replace(judgement.cell, objective=objective), judgement.outcome, judgement.sentence)


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("decision", list(Decision))
def test_judgements_without_any_number_render(outcome: Outcome, decision: Decision) -> None:
    bare = tuple(replace(_without_numbers(j), outcome=outcome) for j in go().verdict.judgements)
    verdict = replace(go().verdict, judgements=bare, decision=decision)
    assert "No change could be estimated" in text_of(tree_of(replace(go(), verdict=verdict)))


def test_sides_and_timelines_without_measurements_render() -> None:
    sides = tuple(
        replace(
            side, rig_lag_p99_s=None, worker_cpu_ratio=None, stall_max_s=None, facts={}, requests=0, failed=0
        )
        for side in go().sides
    )
    timeline = tuple(replace(point, p50_s=None, p95_s=None) for point in go().timeline)
    shown = text_of(
        tree_of(replace(go(), sides=sides, timeline=timeline, mode=Mode.RECORDED, baseline_name=None))
    )
    assert "not measured" in shown
    assert "Nothing was answered" in shown


def test_numbers_that_are_none_are_a_dash_not_a_word() -> None:
    page = parsed(render_html(empty()))
    assert "pairs–" in text_of(by_id(page, "finding-1"))


def test_a_fallen_completed_ratio_is_drawn_and_told_on_its_own_scale() -> None:
    cell = replace(go().verdict.judgements[0].cell, metric=Metric.COMPLETED_RATIO)
    fallen = replace(
        go().verdict.judgements[0],
        cell=cell,
        change=-0.02,
        low=-0.03,
        high=-0.01,
        upper_bound=0.028,
        margin=0.03,
    )
    page = page_of(replace(go(), verdict=replace(go().verdict, judgements=(fallen,))))
    (picture,) = page.changes
    row = picture.charts[0].rows[0]
    assert row.margin is not None
    assert row.margin < row.at < picture.charts[0].zero
    assert page.reasons[0].sentence.endswith(
        "completed ratio: −2.00\N{NO-BREAK SPACE}pp, at worst −2.80\N{NO-BREAK SPACE}pp"
        " of −3\N{NO-BREAK SPACE}pp allowed"
    )


def test_cautions_stand_before_the_verdict_and_only_where_there_are_any() -> None:
    html = render_html(
        replace(go(), is_advisory=True, other_policy=("p50: at most +20 %, was at most +5 %",))
    )
    assert html.index("nothing may be promoted on it") < html.index("<h1>")
    assert html.index("p50: at most +20 %, was at most +5 %") < html.index("<h1>")
    assert "nothing may be promoted on it" not in render_html(go())


def test_with_fifty_endpoints_most_percentile_curves_are_folded_away() -> None:
    result = go()
    total, curve = result.curves[0], next(one for one in result.curves if one.name != result.curves[0].name)
    many = tuple(replace(curve, name=f"GET /resource/{number}") for number in range(50))
    html = render_html(replace(result, curves=(total, *many)))
    assert "38 more endpoints" in html
    assert all(f"GET /resource/{number} in numbers" in html for number in range(50))
