"""junit.xml: what was judged, as test cases that every pipeline can show. None fails, exactly when the verdict is GO.

Only failures and skipped cases are used: of the two, the schemas that are in use agree on the spelling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from junitparser import Failure, JUnitXml, Properties, Property, Skipped, TestCase, TestSuite

from rehearse.judge import edges
from rehearse.judge.checks import subject_of
from rehearse.model import (
    CheckOutcome,
    CheckResult,
    ContractChange,
    Decision,
    EdgeOutcome,
    EdgeResult,
    Finding,
    Judgement,
    Outcome,
    Result,
    Role,
    Severity,
    Weight,
)
from rehearse.report.headline import cautions, waived, why
from rehearse.report.ranking import ranked
from rehearse.report.visible import printable, shortened, visible

_LONGEST_NAME = 300
_LONGEST = 2000


def junit_xml(result: Result) -> bytes:
    """The document of `result`; the same result gives the same bytes."""
    xml = JUnitXml(_line(result.title))
    for name, cases in (
        ("verdict", [_verdict(result), *_gates(result)]),
        ("cells", [_cell(row.judgement) for row in ranked(result.verdict)]),
        ("contract", [_change(one) for one in result.verdict.contract if one.weight is not Weight.NOTE]),
        ("checks", _checks(result)),
        ("edges", _edges(result)),
    ):
        if cases:
            xml.append(_suite(f"rehearse.{name}", result, cases))
    xml.update_statistics()
    xml._elem.attrib.pop("skipped", None)  # which the common schemas do not have for the root
    return bytes(xml.tostring())


def _suite(name: str, result: Result, cases: Iterable[TestCase]) -> TestSuite:
    suite = TestSuite(name)
    suite.timestamp = _line(result.started_at)
    suite.append(_properties(result))
    for case in cases:
        suite.add_testcase(case)
    return suite


def _properties(result: Result) -> Properties:
    properties = Properties()
    for name, value in (
        ("run", result.run_id),
        ("mode", result.mode),
        ("baseline", result.baseline_name or ""),
        *((caution.word, caution.sentence) for caution in cautions(result)),
    ):
        properties.add_property(Property(name, _line(value)))
    return properties


def _verdict(result: Result) -> TestCase:
    decision = result.verdict.decision
    case = _case("verdict", "verdict")
    if decision is not Decision.GO:
        sentences = [finding.sentence for finding in result.verdict.reasons]
        case.result = [_failure(f"{decision}: {why(result)}", decision, sentences)]
    return case


def _gates(result: Result) -> Iterator[TestCase]:
    """What stands against GO and is neither cell, check nor contract: those have cases of their own."""
    told = {judgement.cell.label for judgement in result.verdict.judgements}
    told |= {subject_of(check) for check in result.checks}
    told |= {edges.subject_of(edge.record) for edge in result.edges}
    told |= {change.subject for change in result.verdict.contract}
    for finding in result.verdict.reasons:
        if finding.subject not in told:
            yield _gate(finding)


def _gate(finding: Finding) -> TestCase:
    case = _case("gate", f"{finding.code}: {finding.subject}" if finding.subject else finding.code)
    case.result = [_failure(finding.sentence, finding.code)]
    return case


def _cell(judgement: Judgement) -> TestCase:
    case = _case(f"cell.{judgement.cell.scope}", judgement.cell.label)
    gates = judgement.cell.role is Role.CERTIFY or (
        judgement.cell.role is Role.WATCH and judgement.outcome is Outcome.FAIL
    )
    if judgement.outcome is not Outcome.PASS:
        kind = judgement.code or judgement.outcome
        sentence = judgement.sentence
        case.result = [
            _failure(sentence, kind) if gates else _skipped(f"{judgement.cell.role} only: {sentence}")
        ]
    return case


def _change(change: ContractChange) -> TestCase:
    case = _case(f"contract.{change.endpoint}", change.subject)
    if change.waiver is not None:
        who = f"waived by {change.waiver.person} until {change.waiver.until} ({change.waiver.reason})"
        case.result = [_skipped(f"{who}: {change.sentence}")]
    elif change.weight is Weight.GATE:
        examples = [change.sentence, f"before: {change.before}", f"after: {change.after}"]
        case.result = [_failure(change.sentence, change.what, examples)]
    else:
        case.result = [_skipped(f"warning: {change.sentence}")]
    return case


def _checks(result: Result) -> list[TestCase]:
    accepted = {finding.subject: finding.sentence for finding in waived(result)}
    return [_check(check, accepted.get(subject_of(check))) for check in result.checks]


def _check(check: CheckResult, accepted: str | None) -> TestCase:
    case = _case(f"check.{check.component}" if check.component else "check", check.check_id)
    case.time = round(check.duration_s, 3)
    sentence = check.sentence or check.story
    if accepted is not None:
        case.result = [_skipped(accepted)]
    elif check.outcome is CheckOutcome.ERROR or (
        check.outcome is CheckOutcome.FAILED and check.severity is Severity.ABORT
    ):
        case.result = [_failure(sentence, check.outcome, [check.story, check.source, check.ref])]
    elif check.outcome is not CheckOutcome.PASSED:
        case.result = [_skipped(f"{check.outcome}: {sentence}")]
    return case


def _edges(result: Result) -> list[TestCase]:
    accepted = {finding.subject: finding.sentence for finding in waived(result)}
    return [_edge(edge, accepted.get(edges.subject_of(edge.record))) for edge in result.edges]


def _edge(edge: EdgeResult, accepted: str | None) -> TestCase:
    record = edge.record
    case = _case(f"edge.{record.family}", record.case_id)
    if accepted is not None:
        case.result = [_skipped(accepted)]
    elif record.blocks_go:
        case.result = [_failure(edge.sentence, edge.outcome, [record.why, record.told, record.reproduce])]
    elif edge.outcome is not EdgeOutcome.PASS:
        case.result = [_skipped(f"{edge.outcome}: {edge.sentence}")]
    return case


def _case(group: str, name: str) -> TestCase:
    return TestCase(_line(name, _LONGEST_NAME), classname=_line(f"rehearse.{group}", _LONGEST_NAME))


def _failure(message: str, kind: str, more: Sequence[str] = ()) -> Failure:
    failure = Failure(_line(message), _line(kind))
    failure.text = shortened(visible("\n".join(filter(None, more)) or message), _LONGEST)
    return failure


def _skipped(message: str) -> Skipped:
    return Skipped(_line(message))


def _line(text: str, longest: int = _LONGEST) -> str:
    return shortened(printable(text), longest)
