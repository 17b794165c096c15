"""What pipelines read: JUnit, Markdown, annotations, OpenMetrics. Hostile names stay text in each of them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema
from junitparser import Failure, JUnitXml
from markdown_it import MarkdownIt
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from rehearse import report
from rehearse.judge.checks import subject_of
from rehearse.judge.waivers import WAIVED, waived_finding
from rehearse.model import (
    CheckOutcome,
    CheckResult,
    Decision,
    Finding,
    Outcome,
    ReasonCode,
    Result,
    Severity,
    Waiver,
    Weight,
)
from rehearse.report.github import MOST_SUMMARY_BYTES, add_summary, workflow_commands
from rehearse.report.junit import junit_xml
from rehearse.report.markdown import MOST_CHARACTERS, summary_md
from rehearse.report.openmetrics import metrics_txt
from tests.report.contracts import CHANGES, changed, everything
from tests.report.examples import EXAMPLES, abort, empty, go
from tests.report.pages import HOSTILE, Make, with_texts

SCHEMA = xmlschema.XMLSchema(Path(report.__file__).parent / "junit.xsd")
RUNNER = {
    "workflow command": "\n::error::owned\r\n::set-output name=x::y",
    "old command": "##[add-mask]GO ##[error]x",
    "percent": "%0A::error::x %25",
    "link": "https://evil.example [a](http://b) ![x](y) www.evil.example a@b.example",
    "mention": "@everyone #1 :tada: $x^2$",
    "cell": "a | b\n| --- |\n# head\n- list\n1. one",
    "label": '"} 1\n# EOF\nrehearse_verdict{rehearse_verdict="GO',
}
TEXTS = {**HOSTILE, **RUNNER}
EVERY_TEXT = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
WITH_ALL = {**EXAMPLES, "EVERYTHING": everything}
EVERY_EXAMPLE = pytest.mark.parametrize("make", WITH_ALL.values(), ids=WITH_ALL)


def check(outcome: CheckOutcome, severity: Severity = Severity.ABORT) -> CheckResult:
    return CheckResult(
        f"INC-{outcome}-{severity}", "checks/test_x.py::test_x", "it broke", outcome, severity, "and again"
    )


CHECKS = tuple(check(outcome, severity) for outcome in CheckOutcome for severity in Severity)


def hostile(text: str) -> Result:
    result = with_texts(replace(everything(), checks=CHECKS), lambda original: text + original)
    waived, *others = result.verdict.warnings
    warnings = (replace(waived, code=WAIVED), *others)  # a word of ours, by which it is known
    return replace(result, verdict=replace(result.verdict, warnings=warnings))


def failed(xml: JUnitXml, suite: str) -> set[str]:
    return {
        str(case.name)
        for one in xml
        if one.name == f"rehearse.{suite}"
        for case in one
        if any(isinstance(result, Failure) for result in case.result)
    }


def tree_of(xml: str | bytes) -> ElementTree.Element:
    return ElementTree.fromstring(xml)  # noqa: S314  # what we have just written ourselves


def shape_of(xml: str | bytes) -> list[tuple[str, set[str]]]:
    return [(one.tag, set(one.attrib)) for one in tree_of(xml).iter()]


# JUnit


@EVERY_EXAMPLE
def test_junit_is_what_its_schema_says_and_fails_exactly_when_the_verdict_is_not_go(make: Make) -> None:
    content = junit_xml(make())
    SCHEMA.validate(content.decode())
    xml = JUnitXml.fromstring(content)
    assert (xml.failures == 0) is (make().verdict.decision is Decision.GO)
    assert xml.tests == sum(1 for suite in xml for _ in suite)


def test_every_cell_is_a_case_and_those_that_stand_against_go_fail() -> None:
    xml = JUnitXml.fromstring(junit_xml(abort()))
    cells = abort().verdict.judgements
    assert sum(1 for suite in xml if suite.name == "rehearse.cells" for _ in suite) == len(cells)
    worse = {one.cell.label for one in cells if one.outcome is Outcome.FAIL}
    assert worse
    assert worse <= failed(xml, "cells")


def test_of_the_checks_those_fail_that_can_abort_or_could_not_be_asked() -> None:
    xml = JUnitXml.fromstring(junit_xml(replace(abort(), checks=CHECKS)))
    assert failed(xml, "checks") == {
        "INC-failed-abort",
        "INC-error-abort",
        "INC-error-warn",
    }


def test_gating_changes_of_the_answers_fail_and_a_waived_one_stays_visible() -> None:
    content = junit_xml(changed())
    SCHEMA.validate(content.decode())
    gating = {one.subject for one in CHANGES if one.weight is Weight.GATE and one.waiver is None}
    assert failed(JUnitXml.fromstring(content), "contract") == gating
    assert failed(JUnitXml.fromstring(content), "verdict") == {"verdict"}, "each reason is told once"
    assert "waived by Mara Lind until 2026-12-31" in content.decode()


def test_a_waived_check_does_not_fail_and_says_who_accepted_it() -> None:
    result = accepted(check(CheckOutcome.FAILED))
    content = junit_xml(result)
    assert JUnitXml.fromstring(content).failures == 0
    assert "waived by Mara Lind" in content.decode()
    assert "failed (abort), waived" in summary_md(result).replace("\\", "")
    [*_, last] = workflow_commands(result)
    assert last.startswith("::notice")
    assert "1 finding waived, first: waived by Mara Lind" in last


def accepted(one: CheckResult) -> Result:
    """A GO in which somebody accepted a failed check."""
    finding = Finding(Outcome.FAIL, ReasonCode.CHECK_FAILED, subject_of(one), "It is back.", is_hard=True)
    waiver = Waiver(finding.subject, "Mara Lind", "nobody asks for it", "2026-12-31")
    verdict = replace(go().verdict, warnings=(waived_finding(finding, waiver),))
    return replace(go(), verdict=verdict, checks=(one,))


def test_a_reason_that_is_a_check_fails_once() -> None:
    one = check(CheckOutcome.FAILED)
    reason = Finding(Outcome.FAIL, ReasonCode.CHECK_FAILED, subject_of(one), "It is back.", is_hard=True)
    verdict = replace(go().verdict, decision=Decision.ABORT, reasons=(reason,))
    xml = JUnitXml.fromstring(junit_xml(replace(go(), verdict=verdict, checks=(one,))))
    assert failed(xml, "verdict") == {"verdict"}
    assert failed(xml, "checks") == {one.check_id}


def test_an_advisory_result_says_so_and_annotates_no_error() -> None:
    result = replace(abort(), is_advisory=True)
    assert "this was run with --advisory" in junit_xml(result).decode()
    assert "**Advisory:**" in summary_md(result)
    commands = list(workflow_commands(result))
    assert all(command.startswith("::notice") for command in commands)
    assert "Advisory" in commands[-1]


def test_a_reason_that_is_no_cell_is_a_case_of_its_own() -> None:
    gate = Finding(Outcome.INCONCLUSIVE, "rig_unhealthy", "rig", "The load generator was late.")
    result = replace(abort(), verdict=replace(abort().verdict, reasons=(gate,)))
    assert failed(JUnitXml.fromstring(junit_xml(result)), "verdict") == {"verdict", "rig_unhealthy: rig"}


@EVERY_TEXT
def test_a_hostile_text_adds_nothing_to_junit(text: str) -> None:
    content = junit_xml(hostile(text))
    SCHEMA.validate(content.decode())
    assert shape_of(content) == shape_of(junit_xml(hostile("plain ")))
    assert JUnitXml.fromstring(content).failures == JUnitXml.fromstring(junit_xml(hostile("plain "))).failures


# Markdown


def html_of(markdown: str) -> ElementTree.Element:
    """As GitHub would show it: tables, and bare addresses that become links."""
    page = MarkdownIt("gfm-like", {"html": True, "linkify": True}).render(markdown)
    return tree_of(f"<page>{page}</page>")


@EVERY_EXAMPLE
def test_the_summary_begins_with_the_verdict_and_fits(make: Make) -> None:
    markdown = summary_md(make())
    assert markdown.startswith(f"## {make().verdict.decision}")
    assert len(markdown) <= MOST_CHARACTERS
    assert html_of(markdown).find("h2") is not None


@EVERY_TEXT
def test_a_hostile_text_adds_no_element_to_the_summary(text: str) -> None:
    def shape(markdown: str) -> list[str]:
        return [one.tag for one in html_of(markdown).iter()]

    markdown = summary_md(hostile(text))
    assert shape(markdown) == shape(summary_md(hostile("plain ")))
    assert not re.search(r"@\w|::|##\[", markdown)


def test_a_summary_that_would_be_too_long_is_cut_at_a_section() -> None:
    markdown = summary_md(with_texts(replace(abort(), checks=CHECKS * 40), lambda text: text + "x|" * 400))
    assert len(markdown) <= MOST_CHARACTERS
    assert "more" in markdown


def test_changes_of_the_answers_are_in_the_summary_with_who_waived_one() -> None:
    markdown = summary_md(changed()).replace("\\", "")
    assert "5 changes of the answers, 1 note in the report" in markdown
    assert "waived by Mara Lind until 2026-12-31" in markdown
    assert '"100.50"' in markdown


# GitHub


@pytest.mark.parametrize("make", EXAMPLES.values(), ids=EXAMPLES)
def test_at_most_five_annotations_and_none_of_a_go_is_an_error(make: Make) -> None:
    commands = list(workflow_commands(make()))
    assert 1 <= len(commands) <= 5
    levels = {command.split(" ")[0] for command in commands}
    expected = {"GO": "::notice", "ABORT": "::error", "INCONCLUSIVE": "::warning"}[make().verdict.decision]
    assert levels == {expected}


@EVERY_TEXT
def test_a_hostile_text_stays_inside_its_annotation(text: str) -> None:
    by_its_own_policy = replace(hostile(text), other_policy=())  # nothing rests on a verdict by another one
    commands = list(workflow_commands(by_its_own_policy))
    assert [command.partition(" ")[0] for command in commands] == ["::error"] * 4 + ["::notice"]
    for command in commands:
        assert re.fullmatch(r"::(error|notice) title=rehearse%3A ABORT::[^\r\n]*", command)
        assert "##[" not in command
        assert not re.search(r"%(?!25|0A|0D|3A|2C)", command), "every percent sign is one of ours"


def test_a_summary_never_makes_the_step_s_file_larger_than_github_takes(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    assert add_summary(file, "one\n")
    assert add_summary(file, "two\n")
    assert file.read_text() == "one\ntwo\n"
    assert not add_summary(file, "x" * MOST_SUMMARY_BYTES)
    assert file.read_text() == "one\ntwo\n"


# OpenMetrics


@EVERY_EXAMPLE
def test_the_metrics_are_openmetrics_and_say_the_verdict(make: Make) -> None:
    families = {one.name: one for one in text_string_to_metric_families(metrics_txt(make()).decode())}
    verdicts = {one.labels["rehearse_verdict"]: one.value for one in families["rehearse_verdict"].samples}
    assert verdicts.pop(str(make().verdict.decision)) == 1
    assert set(verdicts.values()) == {0}
    certified = [one for one in make().verdict.judgements if one.change is not None]
    assert len(families["rehearse_cell_change"].samples) == len(certified)


def test_changes_of_the_answers_are_counted_by_what_they_lead_to() -> None:
    families = {one.name: one for one in text_string_to_metric_families(metrics_txt(changed()).decode())}
    counted = {one.labels["word"]: one.value for one in families["rehearse_contract_changes"].samples}
    assert counted == {"breaks clients": 3, "warning": 1, "note": 1, "waived": 1}


def test_what_was_not_measured_is_missing_and_not_zero() -> None:
    families = {one.name: one for one in text_string_to_metric_families(metrics_txt(empty()).decode())}
    assert families["rehearse_cell_candidate"].samples == []


@EVERY_TEXT
def test_a_hostile_text_adds_no_sample(text: str) -> None:
    def samples(result: Result) -> list[tuple[str, list[str], float]]:
        families = text_string_to_metric_families(metrics_txt(result).decode())
        return sorted((one.name, sorted(one.labels), one.value) for each in families for one in each.samples)

    assert samples(hostile(text)) == samples(hostile("plain "))


def test_two_names_that_look_alike_once_they_can_be_shown_stay_two() -> None:
    judgement = abort().verdict.judgements[0]
    names = ("GET /x", "GET /x\x00", "y" * 999 + "1", "y" * 999 + "2")
    judgements = tuple(replace(judgement, cell=replace(judgement.cell, name=name)) for name in names)
    result = replace(abort(), verdict=replace(abort().verdict, judgements=judgements))
    families = {one.name: one for one in text_string_to_metric_families(metrics_txt(result).decode())}
    assert len({one.labels["name"] for one in families["rehearse_cell_passed"].samples}) == 4


# all of them


@EVERY_EXAMPLE
def test_the_same_result_gives_the_same_bytes(make: Make) -> None:
    for render in (junit_xml, summary_md, metrics_txt):
        assert render(make()) == render(make())


def test_nothing_of_a_go_speaks_against_it() -> None:
    assert JUnitXml.fromstring(junit_xml(go())).failures == 0
    assert "::error" not in "".join(workflow_commands(go()))
