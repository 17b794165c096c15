"""The record of an edge case: its outcome is never better than its proof."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.codec import canonical_json, from_jsonable, parse_json, to_jsonable
from rehearse.model import Assertion, EdgeFamily, EdgeOutcome, EdgeRecord, Proof, Step

PASSED = Assertion("it answers", EdgeOutcome.PASS, "503 in 1.0 s", {"answered_s": 1.0})
FAILED = Assertion("it recovers", EdgeOutcome.FAIL, "it never came back")
OPEN = Assertion("it recovers", EdgeOutcome.INCONCLUSIVE, "too early to tell")
WHOLE = EdgeRecord(
    case_id="timeout/database-hangs",
    family=EdgeFamily.TIMEOUT,
    why="In March the database hung and every page with it.",
    precondition=Step("the target answers", True),
    injection=Step("timeout downstream for 5 s", True),
    load="50/s a side",
    assertions=(PASSED,),
    cleanup=Step("toxics removed", True),
    proofs=(Proof("connections on which timeout_downstream acted", 12),),
)


def test_a_whole_record_passes_with_its_own_sentence() -> None:
    assert (WHOLE.outcome, WHOLE.sentence) == (EdgeOutcome.PASS, "503 in 1.0 s")
    assert not WHOLE.blocks_go


@pytest.mark.parametrize(
    ("changes", "outcome", "says"),
    [
        ({"precondition": Step("the target answers", False)}, EdgeOutcome.NOT_RUN, "precondition"),
        ({"injection": None}, EdgeOutcome.NOT_RUN, "nothing was injected"),
        ({"injection": Step("toxic", False, "wrong port")}, EdgeOutcome.NOT_RUN, "wrong port"),
        ({"proofs": ()}, EdgeOutcome.NOT_RUN, "nothing proves"),
        ({"proofs": (Proof("acted", 0),)}, EdgeOutcome.NOT_RUN, "acted: 0, needed 1"),
        ({"proofs": (Proof("acted", 5), Proof("Date header", 0))}, EdgeOutcome.NOT_RUN, "Date header"),
        ({"proofs": (Proof("acted", 3, needed=0),)}, EdgeOutcome.NOT_RUN, "no proof"),
        ({"assertions": ()}, EdgeOutcome.INCONCLUSIVE, "nothing was asserted"),
        ({"assertions": (PASSED, OPEN)}, EdgeOutcome.INCONCLUSIVE, "too early"),
        (
            {"assertions": (PASSED, replace(OPEN, outcome=EdgeOutcome.NOT_RUN))},
            EdgeOutcome.INCONCLUSIVE,
            "too early",
        ),
        ({"assertions": (replace(PASSED, numbers={"s": float("nan")}),)}, EdgeOutcome.INCONCLUSIVE, "503"),
        ({"cleanup": Step("toxics removed", False, "the proxy is gone")}, EdgeOutcome.INCONCLUSIVE, "proxy is gone"),
        ({"cleanup": None}, EdgeOutcome.INCONCLUSIVE, "cleaned up"),
        ({"assertions": (OPEN, FAILED)}, EdgeOutcome.FAIL, "it never came back"),
    ],
)  # fmt: skip
def test_with_one_piece_taken_away_it_is_no_pass(
    changes: dict[str, object], outcome: EdgeOutcome, says: str
) -> None:
    record = replace(WHOLE, **changes)  # type: ignore[arg-type]
    assert record.outcome is outcome
    assert says in record.sentence
    assert record.blocks_go
    assert not replace(record, is_required=False).blocks_go


def test_what_failed_without_proof_of_the_condition_was_not_run() -> None:
    record = replace(WHOLE, assertions=(FAILED,), proofs=())
    assert record.outcome is EdgeOutcome.NOT_RUN


def test_a_record_is_kept_as_json_and_read_back_the_same() -> None:
    assert from_jsonable(EdgeRecord, parse_json(canonical_json(to_jsonable(WHOLE)))) == WHOLE
