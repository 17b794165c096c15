"""Rows that must survive, and answers that must be the same: not being able to ask is no pass."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from rehearse.cutover.questions import (
    AskedTwice,
    CommandQuestion,
    PathQuestion,
    SchemaQuestion,
    SqlQuestion,
    first_difference,
)
from rehearse.cutover.rows import (
    HttpCounter,
    HttpReader,
    HttpWriter,
    RowKeeper,
    RowsInMemory,
    SqlReader,
    SqlWriter,
)
from rehearse.cutting_over.crew import FactsQuestion
from rehearse.errors import NotReady
from rehearse.model import Side, TargetFacts


class Service:
    """Keeps rows; answers as it is told."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.status = 0
        self.keys: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.status:
            return httpx.Response(self.status)
        if request.method == "POST":
            self.rows.append(json.loads(request.content)["id"])
            self.keys.append(request.headers.get("Idempotency-Key", ""))
            return httpx.Response(201)
        if request.url.path == "/count":
            return httpx.Response(200, json={"notes": {"all": 7 + len(self.rows)}})
        row = request.url.path.rpartition("/")[2]
        return httpx.Response(200, text=f"row {row}") if row in self.rows else httpx.Response(404)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url="http://service", transport=httpx.MockTransport(self.answer))


@pytest.fixture
def service() -> Service:
    return Service()


def test_a_row_is_written_with_its_number_and_found_again(service: Service) -> None:
    HttpWriter(service.client, "/notes", body='{"id": "{row}"}', key_header="Idempotency-Key").write(41)
    assert (service.rows, service.keys) == (["41"], ["41"])
    assert HttpReader(service.client, "/notes/{row}").missing([41, 42]) == (1, [42])


@pytest.mark.parametrize("status", [401, 500, 302])
def test_an_answer_that_does_not_tell_is_no_loss_and_no_pass(service: Service, status: int) -> None:
    service.status = status
    with pytest.raises(NotReady, match=str(status)):
        HttpReader(service.client, "/notes/{row}").missing([41])
    with pytest.raises(NotReady, match=str(status)):
        HttpWriter(service.client, "/notes", body='{"id": "{row}"}').write(41)


def test_a_count_may_not_fall_behind_what_was_written(service: Service) -> None:
    counter = HttpCounter(service.client, "/count", "notes.all")
    with pytest.raises(NotReady, match="before the first row"):
        counter.missing([41])
    counter.begin()
    service.rows += ["41", "42"]
    assert counter.missing([41, 42]) == (0, ())
    service.rows.pop()
    assert counter.missing([41, 42]) == (1, ())


def test_rows_of_a_database_are_written_and_looked_for(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}", poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("create table marks (id integer)"))
    SqlWriter(engine, "insert into marks values (:row)").write(41)
    assert SqlReader(engine, "select 1 from marks where id = :row").missing([41, 42]) == (1, [42])
    with pytest.raises(NotReady, match="could not be looked for"):
        SqlReader(engine, "select 1 from nowhere where id = :row").missing([41])


@contextmanager
def keeping(rows: RowsInMemory) -> Iterator[RowKeeper]:
    keeper = RowKeeper(rows, rows, every_s=0.001)
    keeper.begin()
    try:
        yield keeper
    finally:
        keeper.end()


def wait_for(keeper: RowKeeper, count: int) -> None:
    deadline = time.monotonic() + 10
    while keeper.look("").written < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_only_rows_that_were_taken_are_missed() -> None:
    rows = RowsInMemory()
    with keeping(rows) as keeper:
        wait_for(keeper, 5)
        assert keeper.look("now").missing_count == 0
        rows.rows.clear()
        seen = keeper.look("now")
    assert seen.missing_count >= 5
    assert seen.missing[0].endswith(f"number 1 of {seen.written}")


def test_rows_that_cannot_be_asked_for_are_trouble() -> None:
    rows = RowsInMemory()
    with keeping(rows) as keeper:
        rows.trouble = "it does not answer"
        assert keeper.look("now").trouble == "it does not answer"


def test_a_system_that_takes_no_row_at_all_ends_it_before_anything_is_touched() -> None:
    with pytest.raises(NotReady, match="read only"), keeping(RowsInMemory(trouble="read only")):
        pass


def test_rows_are_counted_before_the_first_step_and_since() -> None:
    rows = RowsInMemory()
    with keeping(rows) as keeper:
        wait_for(keeper, 3)
        rows.takes_none = "read only"
        keeper.upgrade_begins()
        deadline = time.monotonic() + 10
        while keeper.look("").since.refused < 3:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        seen = keeper.look("now")
    assert seen.before.taken + seen.since.taken == seen.written
    assert seen.since.taken <= 1  # one that was under way


def test_the_time_before_the_upgrade_does_not_use_up_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rehearse.cutover.rows.MOST_ROWS", 10)
    with keeping(RowsInMemory()) as keeper:
        wait_for(keeper, 5)
        time.sleep(0.05)
        assert keeper.look("").written == 5
        keeper.upgrade_begins()
        wait_for(keeper, 10)
        assert keeper.look("").since.taken == 5


class FindsAll(RowsInMemory):
    """`select count(*)`, or a page that says what it was asked for."""

    def missing(self, rows: Sequence[int]) -> tuple[int, Sequence[int]]:
        del rows
        return 0, ()


def test_who_finds_a_row_that_was_never_written_is_not_believed() -> None:
    with pytest.raises(NotReady, match="which was never written"), keeping(FindsAll()):
        pass


def test_who_finds_all_rows_only_later_is_not_believed_then(monkeypatch: pytest.MonkeyPatch) -> None:
    with keeping(RowsInMemory()) as keeper:
        monkeypatch.setattr(
            RowsInMemory, "missing", FindsAll.missing
        )  # the candidate's page tells what was asked
        seen = keeper.look("now")
    assert "which was never written" in seen.trouble


def test_a_page_that_echoes_and_a_query_that_counts_find_what_is_not_there(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}", poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("create table marks (id integer)"))
    writer = SqlWriter(engine, "insert into marks values (:row)")
    counts = RowKeeper(writer, SqlReader(engine, "select count(*) from marks where id = :row"), 1.0)
    echo = httpx.MockTransport(lambda request: httpx.Response(200, text=f"no results for {request.url}"))
    echoes = RowKeeper(
        writer, HttpReader(lambda: httpx.Client(base_url="http://x", transport=echo), "/?q={row}"), 1.0
    )
    for keeper in (counts, echoes):
        with pytest.raises(NotReady, match="which was never written"):
            keeper.begin()


def test_a_count_is_not_asked_for_a_row_that_is_not_there(service: Service) -> None:
    writer = HttpWriter(service.client, "/notes", body='{"id": "{row}"}')
    keeper = RowKeeper(writer, HttpCounter(service.client, "/count", "notes.all"), 60.0)
    keeper.begin()
    keeper.end()
    assert keeper.look("now").trouble == ""


# --- questions ----------------------------------------------------------------------------------------------------


class Says:
    """Answers from a list."""

    def __init__(self, *answers: str | NotReady) -> None:
        self.answers = list(answers)

    def ask(self) -> str:
        answer = self.answers.pop(0)
        if isinstance(answer, NotReady):
            raise answer
        return answer


def test_the_same_answer_is_the_same_and_lines_that_do_not_count_do_not_count() -> None:
    asked = AskedTwice("it", Says("a\n-- restrict x\n", "a\n-- restrict y\n"), "restrict", str)
    asked.ask_before()
    answer = asked.ask_after()
    assert answer.before == answer.after is not None
    assert not answer.difference


def test_another_answer_shows_its_first_difference_without_secrets() -> None:
    asked = AskedTwice("it", Says("a\nb", "a\nhidden"), "", lambda text: text.replace("hidden", "***"))
    asked.ask_before()
    answer = asked.ask_after()
    assert answer.before != answer.after
    assert answer.difference == "line 2 was 'b' and is '***'"


@pytest.mark.parametrize(
    ("answers", "trouble"),
    [((NotReady("gone"), "a"), "before: gone"), (("a", NotReady("gone")), "after: gone")],
    ids=["before", "after"],
)
def test_no_answer_is_no_agreement(answers: tuple[str | NotReady, ...], trouble: str) -> None:
    asked = AskedTwice("it", Says(*answers), "", str)
    asked.ask_before()
    answer = asked.ask_after()
    assert answer.trouble == trouble
    assert answer.after is None


@pytest.mark.parametrize(
    ("said", "ignore", "trouble"),
    [
        ("", "", "before: the answer is empty"),
        (" \n", "", "before: the answer is empty"),
        ("-- a\n-- b", "^--", "before: all of the answer is ignored"),
    ],
)
def test_an_answer_that_says_nothing_is_not_the_same_answer(said: str, ignore: str, trouble: str) -> None:
    asked = AskedTwice("it", Says(said, said), ignore, str)
    asked.ask_before()
    assert asked.ask_after().trouble == trouble


def test_an_answer_that_says_nothing_any_more_is_another_answer() -> None:
    asked = AskedTwice("it", Says("create table a", ""), "", str)
    asked.ask_before()
    answer = asked.ask_after()
    assert answer.before != answer.after is not None
    assert answer.difference == "it had an answer before, and now: the answer is empty"


@pytest.mark.parametrize("status", [302, 401, 404, 500])
def test_a_path_that_never_answers_with_success_proves_nothing(status: int) -> None:
    asked = AskedTwice("it", PathQuestion(lambda _: (status, b"no"), "/x"), "", str)
    asked.ask_before()
    assert asked.ask_after().trouble == f"before: GET /x answers {status}"


def test_a_path_that_is_gone_after_the_undo_is_another_answer() -> None:
    answers = [(200, b"yes"), (404, b"no")]
    asked = AskedTwice("it", PathQuestion(lambda _: answers.pop(0), "/x"), "", str)
    asked.ask_before()
    answer = asked.ask_after()
    assert answer.before != answer.after is not None
    assert answer.difference == "it had an answer before, and now: GET /x answers 404"


SCHEMA_CHANGES = {
    "a table": "create table extra (id integer)",
    "a column": "alter table notes add column currency varchar(3)",
    "a type": "drop table kinds; create table kinds (id text)",
    "an index": "create index notes_text on notes (text)",
    "a default": "drop table kinds; create table kinds (id integer default 5)",
    "a view": "create view some as select text from notes",
}


def schema_of(engine: Engine, *statements: str) -> str:
    with engine.connect() as connection:
        for statement in (one for given in statements for one in given.split(";")):
            connection.execute(text(statement))
    return SchemaQuestion(engine).ask()


def a_database(url: str) -> Engine:
    return create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")


MADE = ("create table notes (id integer primary key, text varchar(20))", "create table kinds (id integer)")


@pytest.mark.parametrize("name", SCHEMA_CHANGES)
def test_a_schema_that_an_undo_leaves_behind_is_another_answer(name: str, tmp_path: Path) -> None:
    engine = a_database(f"sqlite:///{tmp_path / 'x.db'}")
    before = schema_of(engine, *MADE)
    assert first_difference(before, schema_of(engine, SCHEMA_CHANGES[name]))


def test_a_schema_does_not_tell_rows_nor_the_order_in_which_it_was_made(tmp_path: Path) -> None:
    one = a_database(f"sqlite:///{tmp_path / 'one.db'}")
    other = a_database(f"sqlite:///{tmp_path / 'other.db'}")
    assert schema_of(one, *MADE) == schema_of(other, *reversed(MADE), "insert into notes values (1, 'a')")
    assert "column notes.text: nullable True, type VARCHAR(length=20)" in SchemaQuestion(one).ask()


def test_a_schema_that_cannot_be_read_is_no_answer(tmp_path: Path) -> None:
    engine = a_database(f"sqlite:///file:{tmp_path / 'none.db'}?mode=rw&uri=true")
    with pytest.raises(NotReady, match="the schema cannot be read"):
        SchemaQuestion(engine).ask()


@dataclass
class TellsFacts:
    """The part of a target that tells what it is."""

    told: dict[str, str]

    def facts(self) -> TargetFacts:
        return TargetFacts(Side.CANDIDATE, "shop", "http://127.0.0.1:9", self.told)


def test_what_it_says_of_itself_is_all_but_counts_of_rows() -> None:
    target = TellsFacts({"build": "1234", "schema": "17", "name": "shop", "rows.orders": "5"})
    asked = AskedTwice("it", FactsQuestion(target), "", str)
    asked.ask_before()
    target.told["rows.orders"] = "6"
    assert asked.ask_after().difference == ""
    target.told["build"] = "1300"
    assert asked.ask_after().difference == "line 1 was 'build 1234' and is 'build 1300'"


def test_facts_that_are_counts_alone_prove_nothing() -> None:
    asked = AskedTwice("it", FactsQuestion(TellsFacts({"rows.orders": "5"})), "", str)
    asked.ask_before()
    assert asked.ask_after().trouble == "before: the answer is empty"


def test_a_line_more_is_a_difference() -> None:
    assert first_difference("a", "a\nb") == "line 2 was not there and is 'b'"


def test_a_command_answers_with_what_it_prints_when_it_ends_well(tmp_path: Path) -> None:
    ask = partial(CommandQuestion, working_dir=tmp_path)
    assert ask([sys.executable, "-S", "-c", "print(4711)"]).ask() == "4711\n"
    with pytest.raises(NotReady, match="exit code 3"):
        ask(["sh", "-c", "exit 3"]).ask()
    with pytest.raises(NotReady, match="cannot be run"):
        ask(["no-such-command-4711"]).ask()


def test_a_path_answers_with_its_status_and_a_query_with_its_rows(tmp_path: Path) -> None:
    assert PathQuestion(lambda path: (200, path.encode()), "/x").ask() == "status 200\n/x"
    with pytest.raises(NotReady, match="no answer"):
        PathQuestion(lambda _: None, "/x").ask()
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}", poolclass=NullPool)
    assert SqlQuestion(engine, "select 1, 'a' union select 2, 'b'").ask() == "(1, 'a')\n(2, 'b')"
    with pytest.raises(NotReady, match="the query failed"):
        SqlQuestion(engine, "select nothing").ask()
