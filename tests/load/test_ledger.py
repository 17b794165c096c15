"""What several workers send is put together exactly, and what is missing is named."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

from rehearse.codec import to_jsonable
from rehearse.histogram import Histogram
from rehearse.load.ledger import BlockLedger, merge_blocks
from rehearse.model import (
    Arrivals,
    Block,
    ErrorBin,
    RequestOutcome,
    RigHealth,
    Scope,
    Series,
    Side,
    WorkerFinal,
)


def histogram(*values_s: float) -> Histogram:
    result = Histogram()
    for value_s in values_s:
        result.record(value_s)
    return result


def part(duration_s: float, stall_s: float = 0.0) -> Block:
    series = Series(
        Scope.ENDPOINT, "GET /x", {RequestOutcome.OK: histogram(duration_s)}, (ErrorBin("e", 3, 1),)
    )
    rig = RigHealth(histogram(0.001), histogram(), stall_s, 0.1, 0.0)
    return Block(Side.BASELINE, 0, 4, False, 16.0, 4.0, Arrivals(1, 1, 0, 1), (series,), rig)


def text_of(block: Block) -> str:
    return json.dumps(to_jsonable(block), sort_keys=True)


def final(worker: int, block: Block) -> WorkerFinal:
    return WorkerFinal(
        Side.BASELINE, 0, worker, block.arrivals, 1, zlib.crc32(text_of(block).encode()), 0, 0, 0
    )


def test_a_block_is_whole_when_every_worker_sent_its_part() -> None:
    ledger = BlockLedger(workers=2)
    assert ledger.add(0, part(0.01), text_of(part(0.01))) is None
    whole = ledger.add(1, part(0.02), text_of(part(0.02)))
    assert whole is not None
    assert whole.arrivals == Arrivals(2, 2, 0, 2)
    assert whole.series[0].judged == histogram(0.01, 0.02)
    assert whole.series[0].errors == (ErrorBin("e", 3, 2),)


def test_the_worst_worker_decides_how_the_rig_did() -> None:
    assert merge_blocks([part(0.01, stall_s=0.0), part(0.01, stall_s=0.4)]).rig.stall_max_s == 0.4


def test_an_account_that_agrees_has_no_complaint() -> None:
    ledger, block = BlockLedger(workers=1), part(0.01)
    ledger.add(0, block, text_of(block))
    assert ledger.complaint(final(0, block)) is None


def test_a_block_that_never_arrived_is_a_complaint() -> None:
    assert "1 blocks (0 of them acknowledged), 0 arrived" in str(
        BlockLedger(workers=1).complaint(final(0, part(0.01)))
    )


def test_a_block_that_changed_on_the_way_is_a_complaint() -> None:
    ledger = BlockLedger(workers=1)
    ledger.add(0, part(0.02), text_of(part(0.02)))
    assert "checksum" in str(ledger.complaint(final(0, part(0.01))))


def test_each_report_is_taken_once_and_in_order() -> None:
    ledger = BlockLedger(workers=1)
    assert ledger.last_taken(Side.BASELINE, 0) == -1
    numbers = [0, 2, 1, 1, 0, 2]
    assert [ledger.take(Side.BASELINE, 0, n) for n in numbers] == [True, False, True, False, False, True]
    assert ledger.last_taken(Side.BASELINE, 0) == 2
    assert ledger.last_taken(Side.CANDIDATE, 0) == -1


def test_what_one_worker_could_not_measure_is_not_known_of_the_block() -> None:
    told = replace(part(0.01), rig=replace(part(0.01).rig, throttled=1, gc_ratio=0.2, exhausted=2))
    untold = replace(told, rig=replace(told.rig, throttled=None, gc_ratio=0.1, exhausted=1))
    rig = merge_blocks([told, untold]).rig
    assert (rig.throttled, rig.gc_ratio, rig.exhausted) == (None, 0.2, 3)


def test_the_longest_stall_keeps_its_reason() -> None:
    short, long = part(0.01, stall_s=0.1), part(0.01, stall_s=0.4)
    long = replace(long, rig=replace(long.rig, stalled_in="visit.py:7 look()"))
    assert merge_blocks([short, long]).rig.stalled_in == "visit.py:7 look()"
