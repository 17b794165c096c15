"""What is stored can be checked: a digest over all that a verdict rests on, and strict reading."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rehearse.errors import StoreError
from rehearse.model import RunKind
from rehearse.store import Store
from rehearse.store.packing import VERSION
from tests.store.examples import ABORT, block, change, final, finished, keep, look, record, sqlite_url


@pytest.fixture
def kept(file: Path) -> Iterator[Store]:
    """A SQLite store with one finished run."""
    with Store.open(sqlite_url(file)) as store:
        keep(store, record())
        yield store


def test_a_finished_run_verifies(store: Store) -> None:
    keep(store, record())
    store.verify("run-1")


def test_a_run_that_goes_on_cannot_be_verified(store: Store) -> None:
    store.begin_run(record())
    with pytest.raises(StoreError, match="run run-1 is running: only a finished run has a digest"):
        store.verify("run-1")


def test_the_same_recording_has_the_same_digest_everywhere(store: Store, tmp_path: Path) -> None:
    keep(store, record())
    with Store.open(sqlite_url(tmp_path / "other.db")) as other:
        other.begin_run(record("earlier"))
        keep(other, record())
        assert other.digest("run-1") == store.digest("run-1")


def test_everything_recorded_is_in_the_digest(store: Store) -> None:
    seen = []
    run = record(kind=RunKind.COMPARISON)
    store.begin_run(run)
    seen.append(store.digest("run-1"))
    store.add_block("run-1", block(0))
    seen.append(store.digest("run-1"))
    store.add_final("run-1", final())
    seen.append(store.digest("run-1"))
    store.update_run(replace(run, is_complete=True))
    seen.append(store.digest("run-1"))
    assert len(set(seen)) == 4
    assert all(len(digest) == 64 for digest in seen)


def test_neither_the_verdict_nor_the_state_of_a_comparison_is_in_its_digest(store: Store) -> None:
    run = replace(record(kind=RunKind.COMPARISON), is_complete=True)
    store.begin_run(run)
    before = store.digest("run-1")
    store.update_run(replace(finished(run), verdict=ABORT))
    assert store.digest("run-1") == before


# every byte of what is stored


TAMPERED = {
    "a block is gone": "DELETE FROM blocks WHERE index_in_round = 1",
    "a block is renumbered": "UPDATE blocks SET index_in_round = 7 WHERE index_in_round = 1",
    "a block changed sides": "UPDATE blocks SET side = 'candidate' WHERE index_in_round = 1",
    "two blocks are the same": "UPDATE blocks SET body = (SELECT body FROM blocks WHERE index_in_round = 0)",
    "a final is gone": "DELETE FROM finals",
    "a final is better": "UPDATE finals SET document = replace(document, '\"unsent\":0', '\"unsent\":1')",
    "an exhibit is gone": "DELETE FROM exhibits",
    "an exhibit is of another kind": "UPDATE exhibits SET kind = 'contract'",
    "an exhibit is another": "UPDATE exhibits SET body = x'01789c030000000001'",
    "the policy is softer": "UPDATE runs SET document = replace(document, '0.05', '0.50')",
    "the incidents are gone": "UPDATE runs SET document = replace(document, 'The rig was late.', '')",
    "the run ended later": "UPDATE runs SET ended_at = '2027-01-01T00:00:00+00:00'",
    "the run has a verdict": "UPDATE runs SET verdict = '[1,{}]'",
    "the run is younger": "UPDATE runs SET started_at = '2027-01-01T00:00:00+00:00'",
    "the run is of another kind": "UPDATE runs SET kind = 'comparison'",
    "the digest is gone": "UPDATE runs SET digest = NULL",
    "the digest is another": "UPDATE runs SET digest = replace(digest, substr(digest, 1, 1), 'z')",
}


@pytest.mark.parametrize("statement", TAMPERED.values(), ids=TAMPERED.keys())
def test_verify_finds_what_was_changed(kept: Store, file: Path, statement: str) -> None:
    change(file, statement)
    with pytest.raises(StoreError, match="run run-1 is "):
        kept.verify("run-1")


def test_verify_finds_any_flipped_bit_of_a_block(kept: Store, file: Path) -> None:
    [(body,)] = look(file, "SELECT body FROM blocks WHERE index_in_round = 1")
    assert isinstance(body, bytes)
    for place in range(0, len(body), 7):
        flipped = body[:place] + bytes([body[place] ^ 1 << place % 8]) + body[place + 1 :]
        change(file, "UPDATE blocks SET body = ? WHERE index_in_round = 1", flipped)
        with pytest.raises(StoreError, match="is not what was recorded"):
            kept.verify("run-1")
    change(file, "UPDATE blocks SET body = ? WHERE index_in_round = 1", body)
    kept.verify("run-1")


# strict reading, whatever the digest says


def packed(text: bytes) -> bytes:
    return bytes([VERSION]) + zlib.compress(text)


WHOLE = packed(b"{}")
NOT_BLOCKS = {
    "empty": (b"", "starts with nothing; this rehearse knows the formats 1 and 2"),
    "a later format": (b"\x03" + WHOLE[1:], "starts with 03; this rehearse knows the formats 1 and 2"),
    "cut short": (WHOLE[:-3], "is cut short"),
    "only the version": (WHOLE[:1], "is cut short"),
    "longer": (WHOLE + b"x", "goes on after its end"),
    "not zlib": (b"\x01garbage", "incorrect header check"),
    "not JSON": (packed(b"{"), "is not JSON"),
    "NaN": (packed(b'{"start_s":NaN}'), "holds NaN"),
    "another noun": (packed(b"{}"), "missing .*arrivals.*side"),
    "a bomb": (packed(b" " * (65 * 1024 * 1024)), "is more than 67108864 bytes when decompressed"),
}


@pytest.mark.parametrize(("body", "message"), NOT_BLOCKS.values(), ids=NOT_BLOCKS.keys())
def test_what_is_not_a_block_is_refused_with_its_place(
    kept: Store, file: Path, body: bytes, message: str
) -> None:
    change(file, "UPDATE blocks SET body = ? WHERE index_in_round = 1", body)
    with pytest.raises(
        StoreError, match=f"^run run-1, baseline block 1 of round 0 cannot be read: .*{message}"
    ):
        kept.blocks("run-1")


def test_a_block_in_another_s_place_is_refused(kept: Store, file: Path) -> None:
    change(file, "UPDATE blocks SET round = 4 WHERE index_in_round = 1")
    with pytest.raises(
        StoreError, match=r"baseline block 1 of round 4 cannot be read: its content is .* of round 0"
    ):
        kept.blocks("run-1")


def test_a_final_in_another_s_place_is_refused(kept: Store, file: Path) -> None:
    change(file, "UPDATE finals SET worker = 3")
    with pytest.raises(StoreError, match="final of baseline worker 3 in round 0 cannot be read"):
        kept.finals("run-1")


NOT_RECORDS = {
    "an unknown state": ("UPDATE runs SET state = 'done'", "state: expected one of running, finished"),
    "a later format": ("UPDATE runs SET document = replace(document, '[1,', '[2,')", "is not in format 1"),
    "a number": ("UPDATE runs SET document = '3'", "is not in format 1"),
    "no object": ("UPDATE runs SET document = '[1,3]'", "is not an object"),
    "cut short": ("UPDATE runs SET document = substr(document, 1, 99)", "is not JSON"),
    "a broken verdict": ("UPDATE runs SET verdict = '[1,{}]'", "verdict: missing"),
}


@pytest.mark.parametrize(("statement", "message"), NOT_RECORDS.values(), ids=NOT_RECORDS.keys())
def test_what_is_not_a_record_is_refused(kept: Store, file: Path, statement: str, message: str) -> None:
    change(file, statement)
    for ask in (lambda: kept.run("run-1"), kept.runs, lambda: kept.latest_run(record().kind)):
        with pytest.raises(StoreError, match=f"run run-1 cannot be read: .*{message}"):
            ask()


def test_a_block_that_is_too_large_is_not_stored(local_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rehearse.store.packing.MOST_BYTES", 100)
    local_store.begin_run(record())
    with pytest.raises(StoreError, match=r"baseline block 0 of round 0 cannot be stored: .* are more than"):
        local_store.add_block("run-1", block())


def test_listing_runs_reads_no_blocks(kept: Store, file: Path) -> None:
    change(file, "UPDATE blocks SET body = x'00'")
    assert kept.runs() == (finished(record()),)
