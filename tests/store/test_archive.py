"""A run as one file: what comes out on the other end is what went in, or nothing."""

from __future__ import annotations

import json
import random
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from rehearse.errors import StoreError
from rehearse.model import RunKind, RunState
from rehearse.store import Store, rows
from rehearse.store.archive import MAGIC, MOST_BYTES, check_file, import_runs
from rehearse.store.packing import pack
from tests.store.examples import ABORT, block, change, exhibit, final, finished, keep, record, sqlite_url


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    """The store of another machine."""
    with Store.open(sqlite_url(tmp_path / "other" / "rehearse.db")) as opened:
        yield opened


def baseline_in(store: Store, run_id: str = "base", minute: int = 0) -> None:
    keep(store, record(run_id, minute=minute))
    store.name_baseline("main", run_id)


def comparison_in(store: Store) -> None:
    keep(store, replace(record("compared", RunKind.COMPARISON, 5), baseline_run_id="base"))
    store.update_run(replace(store.run("compared"), verdict=ABORT))


def test_what_is_imported_is_to_the_digest_what_was_exported(store: Store, other: Store) -> None:
    baseline_in(store)
    comparison_in(store)
    found = other.import_file(store.export("compared", with_baseline=True))
    assert [(one.run_id, one.is_new, one.named) for one in found] == [
        ("base", True, ("main",)),
        ("compared", True, ()),
    ]
    for run_id in ("base", "compared"):
        assert other.run(run_id) == store.run(run_id)
        assert other.blocks(run_id) == (block(0), block(1), block(2))
        assert other.finals(run_id) == (final(),)
        assert other.exhibits(run_id) == (exhibit(),)
        assert other.verify(run_id) == store.verify(run_id)
    assert other.baseline("main").run_id == "base"
    assert other.summaries(9) == store.summaries(9)


def test_a_block_in_the_format_before_is_taken_along_as_it_is(other: Store, tmp_path: Path) -> None:
    with Store.open(sqlite_url(tmp_path / "before" / "rehearse.db")) as before:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(rows, "pack_block", pack)
            baseline_in(before)
        content = before.export("base")
        other.import_file(content)
        assert other.verify("base") == before.verify("base")
        assert other.blocks("base") == (block(0), block(1), block(2))


def test_a_file_goes_into_either_database(store: Store, other: Store) -> None:
    baseline_in(other)
    [found] = store.import_file(other.export("base"))
    assert (found.digest, found.is_new) == (other.digest("base"), True)
    assert store.baseline("main") == other.baseline("main")


def test_importing_twice_changes_nothing(local_store: Store, other: Store) -> None:
    baseline_in(local_store)
    content = local_store.export("base")
    other.import_file(content)
    [again] = other.import_file(content)
    assert (again.is_new, again.named, again.not_named) == (False, (), ())
    assert other.baselines()[0].versions == 1


def test_of_two_imports_of_the_same_run_at_the_same_moment_one_keeps_it_and_one_finds_it_there(
    store: Store, store_url: str, other: Store
) -> None:
    """The first jobs of two pipelines. The second one was told that the database cannot be used."""
    baseline_in(other)
    content = other.export("base")
    with ThreadPoolExecutor(1) as pool, Store.open(store_url) as late:
        with store._database.writing() as session:
            (kept,) = import_runs(session, content)
            found = pool.submit(late.import_file, content)
            if store_url.startswith("postgresql"):
                wait_for_a_blocked_statement(store_url)  # SQLite has one writer at a time
        assert kept.is_new
        assert [one.is_new for one in found.result(timeout=30)] == [False]
    assert store.baseline("main").run_id == "base"


def wait_for_a_blocked_statement(url: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    query = text(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    deadline_s = time.monotonic() + 30
    with engine.connect() as connection:
        while not connection.execute(query).scalar_one():
            assert time.monotonic() < deadline_s, "nobody waits"
            connection.rollback()
            time.sleep(0.01)


def test_a_verdict_that_was_judged_anew_is_no_other_content(local_store: Store, other: Store) -> None:
    baseline_in(local_store)
    comparison_in(local_store)
    other.import_file(local_store.export("compared"))
    local_store.update_run(replace(local_store.run("compared"), verdict=None))
    [found] = other.import_file(local_store.export("compared"))
    assert not found.is_new
    assert other.run("compared").verdict == ABORT


def test_a_run_that_is_here_with_other_content_refuses_the_whole_file(
    local_store: Store, other: Store
) -> None:
    baseline_in(local_store, "fresh")
    keep(local_store, replace(record("same", RunKind.COMPARISON, 5), baseline_run_id="fresh"))
    keep(other, replace(record("same", RunKind.COMPARISON, 5), baseline_run_id="fresh"), blocks=2)
    with pytest.raises(StoreError, match=r"run same is already stored, with other content. Nothing was"):
        other.import_file(local_store.export("same", with_baseline=True))
    assert [one.run_id for one in other.summaries(9)] == ["same"]
    assert other.baselines() == ()


def test_an_imported_baseline_takes_a_name_over_only_from_an_older_one(
    local_store: Store, other: Store
) -> None:
    baseline_in(other, "here", minute=10)
    baseline_in(local_store, "older", minute=5)
    [found] = other.import_file(local_store.export("older"))
    assert (found.named, found.not_named) == ((), ("main",))
    baseline_in(local_store, "younger", minute=15)
    [found] = other.import_file(local_store.export("younger"))
    assert found.named == ("main",)
    assert other.baseline("main").run_id == "younger"


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.INTERRUPTED, RunState.FAILED])
def test_a_run_that_never_came_to_its_end_can_be_taken_along_and_stays_unsealed(
    local_store: Store, other: Store, state: RunState
) -> None:
    local_store.begin_run(record("cut", RunKind.COMPARISON))
    local_store.add_block("cut", block())
    local_store.update_run(replace(record("cut", RunKind.COMPARISON), state=state))
    [found] = other.import_file(local_store.export("cut"))
    assert found.digest is None
    assert other.run("cut").state is state
    with pytest.raises(StoreError, match="only a finished run has a digest"):
        other.verify("cut")


# every byte of a file


def test_a_flipped_bit_anywhere_is_refused_and_nothing_is_imported(local_store: Store, other: Store) -> None:
    baseline_in(local_store)
    content = local_store.export("base")
    rng = random.Random(6)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.randrange(8)
        with pytest.raises(StoreError):
            check_file(bytes(flipped))
        if place % 97 == 0:
            with pytest.raises(StoreError):
                other.import_file(bytes(flipped))
    assert other.summaries(9) == ()
    assert check_file(content) == (("base", local_store.digest("base")),)


def test_a_file_that_was_cut_or_goes_on_is_refused(local_store: Store) -> None:
    baseline_in(local_store)
    content = local_store.export("base")
    for end in (*range(0, len(content), 53), len(content) - 1):
        with pytest.raises(StoreError):
            check_file(content[:end])
    with pytest.raises(StoreError, match="SHA-256"):
        check_file(content + b"\n")


# files that somebody made, checksum and all


def sealed(lines: list[object]) -> bytes:
    packed = zlib.compress(b"\n".join(json.dumps(line).encode() for line in lines))
    return MAGIC + sha256(packed).hexdigest().encode() + b"\n" + packed


def lines_of(content: bytes) -> list[list[object]]:
    return [json.loads(line) for line in zlib.decompress(content.partition(b"\n")[2][65:]).split(b"\n")]


def set_run(column: int, value: object) -> Callable[[list[list[object]]], None]:
    def change(lines: list[list[object]]) -> None:
        lines[0][column] = value

    return change


MADE: dict[str, tuple[Callable[[list[list[object]]], object], str]] = {
    "an id that leads out of the folder": (set_run(1, "../../../etc/cron.d/x"), "a run is named"),
    "an id that is a folder": (set_run(1, ".."), "a run is named"),
    "an id with a line end": (set_run(1, "base\n"), "a run is named"),
    "a state nobody knows": (set_run(3, "blessed"), "state: expected one of"),
    "another document": (set_run(6, "[1,{}]"), "missing"),
    "another digest": (set_run(8, "0" * 64), "is not what was sealed"),
    "no digest": (set_run(8, None), "is not what was sealed"),
    "unfinished, and sealed": (set_run(3, "failed"), "is not what was sealed"),
    "names that are none": (set_run(9, "main"), "names: expected a list"),
    "one column less": (lambda lines: lines[0].pop(), "8 columns"),
    "one block less": (lambda lines: lines.pop(1), "is not what was sealed"),
    "a block in another's place": (lambda lines: lines[1].__setitem__(3, 7), "its content is"),
    "a block that is not base64": (lambda lines: lines[1].__setitem__(4, "*"), "base64"),
    "a part before any run": (lambda lines: lines.insert(0, lines.pop(1)), "a line is none"),
    "a part nobody knows": (lambda lines: lines.append(["shell", "rm -rf /"]), "a line is none"),
    "a pickle": (lambda lines: lines[1].__setitem__(4, b64encode(b"\x80\x04.").decode()), "starts with 80"),
    "a block that is a bomb": (
        lambda lines: lines[1].__setitem__(4, b64encode(b"\x01" + zlib.compress(b" " * 65 * 2**20)).decode()),
        "more than 67108864 bytes",
    ),
    "nothing at all": (lambda lines: lines.clear(), "is not JSON"),
}


@pytest.mark.parametrize(
    "moment",
    [
        "zzzz",
        "",
        "=1+1",
        "2026-11-02",
        "2026-11-02T10:00:00",
        "2026-11-02T10:00:00+14:00",
        "2026-11-02T10:00:00.5+00:00",
        "9999-12-31T23:59:59-23:59",
        "2026-11-02T10:00:00+00:00\x1b[2J",
    ],
)
@pytest.mark.parametrize("statement", ["UPDATE runs SET started_at = ?", "UPDATE runs SET ended_at = ?"])
def test_a_moment_that_is_none_takes_no_name_over(
    local_store: Store, other: Store, file: Path, moment: str, statement: str
) -> None:
    baseline_in(other, "mine", minute=5)
    keep(local_store, record("made"))
    change(file, statement, moment)
    change(file, "UPDATE runs SET digest = ?", local_store.digest("made"))  # as somebody who makes a run up
    local_store.name_baseline("main", "made")
    content = local_store.export("made")
    with pytest.raises(StoreError, match="not one in UTC to the second"):
        other.import_file(content)
    assert other.baseline("main").run_id == "mine"


def test_a_run_of_the_future_is_refused_but_for_what_clocks_differ_by(
    local_store: Store, other: Store
) -> None:
    baseline_in(local_store)  # it ended at 10:59
    content = local_store.export("base")
    with pytest.raises(StoreError, match="set the clock"):
        other.import_file(content, datetime(2026, 11, 2, 10, 53, tzinfo=UTC))
    with pytest.raises(StoreError, match="set the clock"):
        check_file(content, datetime(2026, 11, 2, 9, 0, tzinfo=UTC))
    assert other.summaries(9) == ()
    assert other.import_file(content, datetime(2026, 11, 2, 10, 55, tzinfo=UTC))


@pytest.mark.parametrize(("change", "message"), MADE.values(), ids=MADE.keys())
def test_a_file_with_a_right_checksum_is_still_read_strictly(
    local_store: Store, other: Store, change: Callable[[list[list[object]]], object], message: str
) -> None:
    baseline_in(local_store)
    lines = lines_of(local_store.export("base"))
    assert check_file(sealed(list(lines)))
    change(lines)
    with pytest.raises(StoreError, match=message):
        other.import_file(sealed(list(lines)))
    assert other.summaries(9) == ()


def test_the_same_block_twice_is_refused_by_the_database(local_store: Store, other: Store) -> None:
    local_store.begin_run(record("cut", RunKind.COMPARISON))
    local_store.add_block("cut", block())
    lines = lines_of(local_store.export("cut"))
    with pytest.raises(StoreError):
        other.import_file(sealed([*lines, lines[1]]))
    assert other.summaries(9) == ()


def test_a_comparison_is_never_imported_as_a_baseline(local_store: Store, other: Store) -> None:
    keep(local_store, record("compared", RunKind.COMPARISON))
    lines = lines_of(local_store.export("compared"))
    lines[0][9] = ["main"]
    with pytest.raises(StoreError, match="is a finished comparison, and is named as a baseline"):
        other.import_file(sealed(list(lines)))


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rehearse.store.archive.MOST_TEXT_BYTES", 10_000)
    packed = zlib.compress(b" " * 10_001)
    with pytest.raises(StoreError, match="more than 10000 bytes when decompressed"):
        check_file(MAGIC + sha256(packed).hexdigest().encode() + b"\n" + packed)


def test_a_file_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(StoreError, match="are allowed"):
        check_file(MAGIC + bytes(MOST_BYTES))


def test_what_no_import_would_take_is_not_exported(
    local_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline_in(local_store)
    monkeypatch.setattr("rehearse.store.archive.MOST_BYTES", 100)
    with pytest.raises(StoreError, match="run base is too large to export"):
        local_store.export("base")


def test_a_damaged_run_is_not_exported(local_store: Store, file: Path) -> None:
    from tests.store.examples import change

    baseline_in(local_store)
    change(file, "DELETE FROM finals")
    with pytest.raises(StoreError, match="is not what was recorded"):
        local_store.export("base")


def test_a_finished_run_without_parts_is_a_file_too(local_store: Store, other: Store) -> None:
    local_store.begin_run(record("bare"))
    local_store.update_run(finished(record("bare")))
    assert other.import_file(local_store.export("bare"))[0].is_new
