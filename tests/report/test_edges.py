"""Edge cases on the page, the terminal and in the files of pipelines."""

from __future__ import annotations

from dataclasses import replace

from rehearse.judge.edges import edge_faults
from rehearse.model import EdgeOutcome
from rehearse.report.headline import edge_counts, top_reasons
from rehearse.report.junit import junit_xml
from rehearse.report.markdown import summary_md
from rehearse.report.terminal import summary_lines
from tests.report.examples import abort, go
from tests.report.pages import by_id, find_all, text_of, tree, tree_of


def test_every_case_has_its_outcome_its_story_and_its_proof_on_the_page() -> None:
    section = by_id(tree(abort), "edges")
    text = text_of(section)
    assert all(str(outcome) in text for outcome in EdgeOutcome)
    assert len(list(find_all(section, "svg"))) == len(EdgeOutcome)
    assert "4.1.7 was back 2.0 s after it, 4.2.0 never was" in text
    assert "connections of the candidate on which the fault acted: 40" in text
    assert "curl -i" in text


def test_a_failed_case_heads_the_report_and_leads_down_to_its_record() -> None:
    finding = edge_faults([edge.record for edge in abort().edges], ())[0].finding
    result = replace(abort(), verdict=replace(abort().verdict, reasons=(finding,)))
    (first,) = top_reasons(result, ())
    assert first.anchor == "edge-1"
    assert by_id(tree_of(result), "edge-1") is not None
    head = "ABORT: The candidate fails where the baseline does not: 5 edge cases: 1 fail"
    assert summary_lines(result, None)[0].startswith(head)


def test_a_project_without_edge_cases_hears_nothing_of_them() -> None:
    assert edge_counts(abort().edges) in summary_lines(abort(), None)
    assert not any("edge case" in line for line in summary_lines(go(), None))
    assert "edges" not in [section.get("id") for section in find_all(tree(go), "section")]


def test_pipelines_see_them_too() -> None:
    xml = junit_xml(abort()).decode()
    assert 'name="fail-case" classname="rehearse.edge.timeout"' in xml
    markdown = summary_md(abort())
    assert "fail-case" in markdown
    assert "pass-case" not in markdown
