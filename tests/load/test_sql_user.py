"""Users that run SQL, in real workers: against SQLite files, and against a real PostgreSQL."""

from __future__ import annotations

import socket
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url

from rehearse.errors import ConfigError, TargetRefused
from rehearse.load.engine import BlockClosed, LoadEvent
from rehearse.load.orders import LoadOrder, ScenarioOrder, SideOrder
from rehearse.load.schedule import Schedule
from rehearse.model import Arrivals, RequestOutcome, Scope, Series, Side
from rehearse.wiring import hosts_elsewhere
from tests.load.test_engine import incidents, run, total
from tests.servers import serving

pytestmark = pytest.mark.live

Order = Callable[..., LoadOrder]

SHOP = """
from rehearse.load import SqlUser


class Shop(SqlUser):
    statements = "statements.toml"
"""

STATEMENTS = """
[[statements]]
name = "by id"
sql = "select note from orders where id = :id"
weight = 3
parameters = [{ id = 1 }, { id = 2 }, { id = 3 }, { id = 4 }, { id = 5 }]

[[statements]]
name = "count"
sql = "select count(*) from orders"
"""


@pytest.fixture
def order(tmp_path: Path) -> Order:
    def make(
        *urls: str,
        scenario: str = SHOP,
        statements: str = STATEMENTS,
        side_effects: bool = False,
        allow: tuple[str, ...] = ("127.0.0.1",),
        timeout_s: float = 2.0,
        rate: float = 20.0,
        blocks: int = 2,
        users: int = 5,
    ) -> LoadOrder:
        (tmp_path / "scenario.py").write_text(scenario)
        (tmp_path / "statements.toml").write_text(statements)
        return LoadOrder(
            sides=tuple(
                SideOrder(side, url, other_sides=hosts_elsewhere(url, set(urls) - {url}))
                for side, url in zip(Side, urls, strict=False)
            ),
            schedule=Schedule(rate, "poisson", 1.0, 0, blocks, seed=3),
            round=0,
            scenarios=(ScenarioOrder("shop", str(tmp_path / "scenario.py")),),
            allow=allow,
            production=(),
            side_effects=side_effects,
            users=users,
            workers=1,
            timeout_s=timeout_s,
            log_dir=str(tmp_path / "logs"),
            working_dir=str(tmp_path),
        )

    return make


def sqlite_at(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = wal")  # two workers may write to one file
        connection.execute("create table orders (id integer primary key, note text)")
        connection.executemany("insert into orders values (?, ?)", [(n, f"note {n}") for n in range(1, 11)])
        connection.commit()
    return f"sqlite:///{path}"


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return sqlite_at(tmp_path / "shop.db")


def postgres_at(url: str, *statements: str) -> str:
    """A filled database; the URL as it would stand in the configuration."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("create table orders (id int primary key, note text)")
        connection.exec_driver_sql("insert into orders select n, 'note ' || n from generate_series(1, 10) n")
        for statement in statements:
            connection.exec_driver_sql(statement)
    return url


def ask(url: str, sql: str) -> object:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return connection.exec_driver_sql(sql).scalar_one()


def series(events: list[LoadEvent], side: Side = Side.BASELINE) -> list[Series]:
    blocks = [event.block for event in events if isinstance(event, BlockClosed)]
    return [one for block in blocks if block.side is side for one in block.series]


def counted(events: list[LoadEvent], scope: Scope, side: Side = Side.BASELINE) -> Counter[str]:
    counts: Counter[str] = Counter()
    for one in series(events, side):
        if one.scope is scope:
            counts[one.name] += one.count()
    return counts


def kinds(events: list[LoadEvent], name: str) -> set[str]:
    return {error.kind for one in series(events) if one.name == name for error in one.errors}


def test_statements_of_a_file_become_tasks_by_weight_the_same_on_both_sides(
    order: Order, tmp_path: Path
) -> None:
    left, right = sqlite_at(tmp_path / "left.db"), sqlite_at(tmp_path / "right.db")
    events = run(order(left, right))
    for side in Side:
        assert total(events, side) == Arrivals(planned=40, dispatched=40, ok=40)
        counts = counted(events, Scope.ENDPOINT, side)
        assert counts["SQL by id"] == pytest.approx(
            30, abs=4
        )  # five users hold a task that they did not get to
        assert counts == {"SQL by id": counts["SQL by id"], "SQL count": 40 - counts["SQL by id"]}
        assert counted(events, Scope.TASK, side)["Shop.count"] == counts["SQL count"]
    assert incidents(events) == []


NOTES = """
[[statements]]
name = "keep"
sql = "insert into seen (note) values (:note)"
parameters = "notes.csv"
"""


def test_both_sides_meet_the_same_parameters_in_the_same_order(order: Order, tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("note\n" + "".join(f"note {number}\n" for number in range(100)))
    files = tmp_path / "left.db", tmp_path / "right.db"
    for file in files:
        sqlite_at(file)
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("create table seen (number integer primary key, note text)")
            connection.commit()
    run(order(*(f"sqlite:///{file}" for file in files), statements=NOTES, side_effects=True))
    seen = []
    for file in files:
        with closing(sqlite3.connect(file)) as connection:
            seen.append([note for (note,) in connection.execute("select note from seen order by number")])
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 40


WRITE = """
[[statements]]
name = "place order"
sql = "insert into orders (id, note) values (:id, 'x')"
parameters = [{ id = 11 }]
"""


def test_a_write_without_side_effects_is_refused_and_nothing_is_written(order: Order, sqlite: str) -> None:
    with pytest.raises(TargetRefused, match=r"'place order' writes.*safety\.side_effects"):
        run(order(sqlite, statements=WRITE))
    assert ask(sqlite, "select count(*) from orders") == 10


TRANSACTIONS = """
from locust import task
from rehearse.load import SqlUser


class Shop(SqlUser):
    number = 100

    @task
    def pay(self):
        Shop.number += 1
        number = self.number
        try:
            with self.client.transaction("pay"):
                insert = "insert into orders (id, note) values (:id, 'paid')"
                self.client.execute("enter", insert, {"id": number})
                [row] = self.client.execute("look", "select note from orders where id = :id", {"id": number})
                assert row.note == "paid"
                if number % 2:
                    raise ValueError("changed their mind")
        except ValueError:
            pass
"""


def test_a_transaction_is_booked_as_a_whole_and_rolled_back_by_what_is_raised_inside(
    order: Order, sqlite: str
) -> None:
    events = run(order(sqlite, scenario=TRANSACTIONS, side_effects=True))
    assert counted(events, Scope.ENDPOINT) == {"SQL pay": 40, "SQL enter": 40, "SQL look": 40}
    assert kinds(events, "SQL pay") == {"ValueError"}
    assert ask(sqlite, "select count(*) from orders") == 10 + 20


WRONG = """
[[statements]]
name = "typo"
sql = "select * from ordrs where note = 'canary-4711'"
"""


def test_a_statement_that_fails_is_an_error_without_its_values_and_the_database_has_answered(
    order: Order, sqlite: str
) -> None:
    events = run(order(sqlite, statements=WRONG))
    assert total(events, Side.BASELINE) == Arrivals(planned=40, dispatched=40, error=40)
    assert kinds(events, "SQL typo") == {"OperationalError (SQLITE_ERROR)"}


RAISES = """
from locust import task
from rehearse.load import SqlUser
from sqlalchemy.exc import OperationalError


class Shop(SqlUser):
    @task
    def wrong(self):
        try:
            self.client.execute("wrong", "select * from nowhere")
        except OperationalError:
            [row] = self.client.execute("right", "select 1 as one")
            assert row.one == 1
"""


def test_a_task_can_catch_what_sqlalchemy_raises_and_go_on(order: Order, sqlite: str) -> None:
    events = run(order(sqlite, scenario=RAISES))
    assert counted(events, Scope.ENDPOINT) == {"SQL wrong": 40, "SQL right": 40}
    assert kinds(events, "SQL right") == set()


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        ("[[statements]]\nnam = 'a'\nsql = 'x'", r"statements\[0\]: nam: .*Did you mean 'name'"),
        ("", "has no statements"),
    ],
)
def test_a_wrong_file_of_statements_is_said_before_any_load(
    order: Order, sqlite: str, statements: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        run(order(sqlite, statements=statements))


def test_a_sql_user_is_refused_in_front_of_an_http_target(order: Order) -> None:
    with serving() as site:
        with pytest.raises(
            ConfigError, match=r"Shop is a SqlUser and runs SQL, but http.* is an HTTP service"
        ):
            run(order(site.url))
        assert site.connections == 0


@pytest.mark.parametrize("kind", ["HttpUser", "FastHttpUser", "User"])
def test_other_users_are_refused_in_front_of_a_database(order: Order, sqlite: str, kind: str) -> None:
    scenario = f"from locust import {kind}, task\nclass Visitor({kind}):\n    @task\n    def look(self): ..."
    with pytest.raises(ConfigError, match=r"Visitor is no SqlUser, and sqlite.* is a database"):
        run(order(sqlite, scenario=scenario))


def test_a_database_off_the_allow_list_is_refused_before_a_byte_is_sent(order: Order) -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        server.settimeout(0.0)
        url = f"postgresql://rehearse@127.0.0.2:{server.getsockname()[1]}/shop"
        with pytest.raises(TargetRefused, match=r"127\.0\.0\.2"):
            run(order(url))
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_database_that_never_answers_is_a_timeout_and_not_a_wait_for_ever(order: Order) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts, and says nothing
        url = f"postgresql://rehearse@127.0.0.1:{server.getsockname()[1]}/shop"
        events = run(order(url, timeout_s=0.5, rate=5.0, blocks=1))
    arrivals = total(events, Side.BASELINE)
    assert arrivals.planned == arrivals.timeout + arrivals.censored + arrivals.unsent == 5
    assert arrivals.timeout > 0


# --- PostgreSQL itself


SLEEPS = """
from locust import task
from rehearse.load import SqlUser


class Shop(SqlUser):
    @task
    def sleep(self):
        self.client.execute("sleep", "select pg_sleep(0.2)")
"""


def test_users_of_postgresql_wait_at_the_same_time(order: Order, postgres_url: str) -> None:
    """20 a second that take 0.2 s each: one after the other they would take twice as long as there is."""
    postgres_at(postgres_url)
    events = run(order(postgres_url, scenario=SLEEPS, users=20))
    arrivals = total(events, Side.BASELINE)
    assert (arrivals.ok, arrivals.concurrency_limited) == (40, 0)
    stalls = [event.block.rig.stall_max_s for event in events if isinstance(event, BlockClosed)]
    assert max(stalls) < 0.15


def test_postgresql_keeps_to_reads_and_says_which_statement_writes(order: Order, postgres_url: str) -> None:
    postgres_at(postgres_url)
    with pytest.raises(TargetRefused, match=r"'place order' writes.*safety\.side_effects"):
        run(order(postgres_url, statements=WRITE))
    assert ask(postgres_url, "select count(*) from orders") == 10


def test_read_only_holds_against_the_settings_of_the_database(order: Order, postgres_url: str) -> None:
    name = make_url(postgres_url).database
    postgres_at(postgres_url, f'alter database "{name}" set default_transaction_read_only = off')
    with pytest.raises(TargetRefused, match="writes"):
        run(order(postgres_url, statements=WRITE))


def test_statements_with_parameters_from_a_csv_file_run_on_postgresql(
    order: Order, postgres_url: str, tmp_path: Path
) -> None:
    """The cells are texts; PostgreSQL itself knows that the column is a number."""
    (tmp_path / "ids.csv").write_text("id\n1\n2\n3\n")
    inline = "parameters = [{ id = 1 }, { id = 2 }, { id = 3 }, { id = 4 }, { id = 5 }]"
    events = run(order(postgres_url, statements=STATEMENTS.replace(inline, 'parameters = "ids.csv"')))
    assert total(events, Side.BASELINE).error == 40  # there is no such table yet
    assert kinds(events, "SQL by id") == {"UndefinedTable (42P01)"}
    postgres_at(postgres_url)
    events = run(order(postgres_url, statements=STATEMENTS.replace(inline, 'parameters = "ids.csv"')))
    assert total(events, Side.BASELINE).ok == 40


def test_transactions_commit_and_roll_back_on_postgresql(order: Order, postgres_url: str) -> None:
    postgres_at(postgres_url)
    events = run(order(postgres_url, scenario=TRANSACTIONS, side_effects=True))
    assert counted(events, Scope.ENDPOINT) == {"SQL pay": 40, "SQL enter": 40, "SQL look": 40}
    assert ask(postgres_url, "select count(*) from orders") == 10 + 20


SWALLOWS = """
from locust import task
from rehearse.load import SqlUser
from sqlalchemy.exc import ProgrammingError


class Shop(SqlUser):
    @task
    def pay(self):
        with self.client.transaction("pay"):
            self.client.execute("enter", "insert into orders (id) select max(id) + 1 from orders")
            try:
                self.client.execute("typo", "select * from ordrs")
            except ProgrammingError:
                pass
"""


def test_a_commit_that_postgresql_quietly_turns_into_a_rollback_is_an_error(
    order: Order, postgres_url: str
) -> None:
    postgres_at(postgres_url)
    events = run(order(postgres_url, scenario=SWALLOWS, side_effects=True, users=1))
    assert kinds(events, "SQL pay") == {"TransactionLost"}
    assert ask(postgres_url, "select count(*) from orders") == 10


def test_postgresql_ends_a_statement_at_the_timeout(order: Order, postgres_url: str) -> None:
    postgres_at(postgres_url)
    slow = SLEEPS.replace("0.2", "30")
    events = run(order(postgres_url, scenario=slow, timeout_s=0.5, rate=5.0, users=20))
    assert total(events, Side.BASELINE) == Arrivals(planned=10, dispatched=10, timeout=10)
    [*durations] = [one.durations[RequestOutcome.TIMEOUT].quantile_s(0.0) for one in series(events)]
    assert all(fastest is not None and 0.45 <= fastest < 1.0 for fastest in durations)
    running = "select count(*) from pg_stat_activity where starts_with(query, 'select pg_sleep(30)')"
    assert ask(postgres_url, f"{running} and state = 'active'") == 0


LOSES = """
from locust import task
from rehearse.load import SqlUser


class Shop(SqlUser):
    @task
    def look(self):
        self.client.execute("look", "select 1")

    @task
    def kill(self):
        self.client.execute("end", "select pg_terminate_backend(pg_backend_pid())")
"""


def test_a_lost_connection_is_one_error_and_the_next_statement_has_a_new_one(
    order: Order, postgres_url: str
) -> None:
    events = run(order(postgres_url, scenario=LOSES, users=2))
    counts = counted(events, Scope.ENDPOINT)
    assert counts["SQL end"] >= 15
    assert counts["SQL look"] >= 15
    assert total(events, Side.BASELINE).error == counts["SQL end"]
    assert kinds(events, "SQL end") == {"AdminShutdown (57P01)"}
    assert kinds(events, "SQL look") == set()


def test_each_user_keeps_one_connection(order: Order, postgres_url: str) -> None:
    postgres_at(postgres_url, "create table users (pid int)")
    scenario = SLEEPS.replace("select pg_sleep(0.2)", "insert into users values (pg_backend_pid())")
    run(order(postgres_url, scenario=scenario, side_effects=True, users=3, rate=50.0))
    found = ask(postgres_url, "select count(distinct pid) from users")
    assert isinstance(found, int)
    assert 1 <= found <= 3
