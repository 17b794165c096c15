"""What a check in its process reaches, what it is refused, and which secrets it sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rehearse.checks.context import CheckedSide
from rehearse.model import CheckOutcome, Side
from tests.checks.breaks import Checks, Found
from tests.servers import Site, serving

ERROR, NOT_RUN = CheckOutcome.ERROR, CheckOutcome.NOT_RUN
FAILED, PASSED = CheckOutcome.FAILED, CheckOutcome.PASSED

REACH = """
import httpx

from rehearse.errors import TargetRefused


@pytest.mark.breakage(id="get")
def test_get(candidate, baseline, both, facts, options, recorded, side_effects):
    assert candidate.get("/version").json() == {"version": "1.0"}
    assert both.baseline.get("/a").status_code == 200
    assert both.candidate.get("/b").status_code == 200
    assert facts["candidate"] == {"version": "2.0"}
    assert facts["baseline"] == {"version": "1.0"}
    assert options == {"paths": ("/a",)}
    assert recorded == []
    assert side_effects is False


@pytest.mark.breakage(id="post")
def test_post(candidate):
    candidate.post("/orders")


@pytest.mark.breakage(id="post-swallowed")
def test_post_swallowed(candidate):
    with pytest.raises(TargetRefused):
        candidate.post("/orders")


@pytest.mark.breakage(id="elsewhere")
def test_elsewhere(candidate):
    candidate.get("http://127.0.0.2/")


@pytest.mark.breakage(id="own-socket")
def test_own_socket():
    httpx.get("http://127.0.0.2:9/")


@pytest.mark.breakage(id="redirect")
def test_redirect(candidate):
    candidate.get("/there", follow_redirects=True)


@pytest.mark.breakage(id="database")
def test_database(database):
    pass


@pytest.mark.breakage(id="hidden")
def test_hidden(candidate):
    for place in ("cmdline", "environ"):
        with open(f"/proc/self/{place}", "rb") as file:
            assert b"canary-4711" not in file.read()


@pytest.mark.breakage(id="headers")
def test_headers(candidate):
    assert candidate.headers["authorization"] == "Bearer canary-4711"
    assert "canary-4711" not in repr(candidate)
    raise AssertionError("canary-4711")
"""


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Site, Site]:
    with serving() as left, serving() as right:
        checks = Checks(tmp_path_factory.mktemp("reach"), left.url, right.url)
        checks.write("test_reach.py", REACH)
        order = checks.order()
        assert order.context.baseline is not None
        assert order.context.candidate is not None
        right.headers = {}
        right.location = left.url + "/stolen"
        candidate = replace(
            order.context.candidate,
            facts={"version": "2.0"},
            headers={"Authorization": "Bearer canary-4711"},
            other_sides=(left.url.removeprefix("http://"),),
        )
        baseline = replace(order.context.baseline, facts={"version": "1.0"})
        right.status = 200
        found = checks.run(
            clean=lambda text: text.replace("canary-4711", "***"),
            baseline=baseline,
            candidate=candidate,
            options={"test_reach": {"paths": ("/a",)}},
        )
        right.status = 302
        redirected = checks.run(
            baseline=baseline, candidate=candidate, only=("checks/test_reach.py::test_redirect",)
        )
        found.results["redirect"] = redirected.results["redirect"]
        return found, left, right


def test_the_fixtures_reach_both_sides(reached: tuple[Found, Site, Site]) -> None:
    found, left, right = reached
    assert (found.sentence("get"), found.outcome("get")) == ("", PASSED)
    assert "GET /a" in left.requests
    assert {"GET /version", "GET /b"} <= set(right.requests)


@pytest.mark.parametrize("check_id", ["post", "post-swallowed"])
def test_nothing_that_changes_data_is_sent_and_trying_is_no_verdict(
    reached: tuple[Found, Site, Site], check_id: str
) -> None:
    found, _, right = reached
    assert found.outcome(check_id) is ERROR
    assert "safety.side_effects" in found.sentence(check_id)
    assert not [request for request in right.requests if request.startswith("POST")]


@pytest.mark.parametrize("check_id", ["elsewhere", "own-socket"])
def test_a_host_that_is_not_listed_is_never_reached(reached: tuple[Found, Site, Site], check_id: str) -> None:
    assert reached[0].outcome(check_id) is ERROR
    assert "not on the allow-list" in reached[0].sentence(check_id)


def test_a_redirect_to_the_other_side_is_refused(reached: tuple[Found, Site, Site]) -> None:
    found, left, _ = reached
    assert found.outcome("redirect") is ERROR
    assert "the other side's target" in found.sentence("redirect")
    assert "GET /stolen" not in left.requests


def test_secrets_are_neither_on_the_command_line_nor_in_the_environment(
    reached: tuple[Found, Site, Site],
) -> None:
    assert reached[0].outcome("hidden") is PASSED


def test_sql_is_not_asked_of_a_service(reached: tuple[Found, Site, Site]) -> None:
    assert reached[0].outcome("database") is NOT_RUN


def test_what_a_check_prints_of_a_secret_is_not_in_the_log(reached: tuple[Found, Site, Site]) -> None:
    found = reached[0]
    assert found.outcome("headers") is FAILED
    assert "***" in found.log
    assert "canary-4711" not in found.log


def test_the_side_under_test_can_be_the_baseline_and_without_one_a_check_is_not_run(tmp_path: Path) -> None:
    with serving() as left:
        checks = Checks(tmp_path, left.url)
        checks.write(
            "test_a.py",
            """
            @pytest.mark.breakage(id="asks")
            def test_asks(candidate):
                assert candidate.get("/asked").status_code == 200


            @pytest.mark.breakage(id="needs")
            def test_needs(baseline):
                raise AssertionError
            """,
        )
        assert checks.run(under_test=Side.BASELINE).outcome("asks") is PASSED
        assert left.requests == ["GET /asked"]
        found = checks.run(baseline=None, candidate=CheckedSide(Side.CANDIDATE, "candidate", left.url))
    assert found.outcome("needs") is NOT_RUN
    assert "recorded mode" in found.sentence("needs")


def test_a_database_is_asked_by_sql_and_only_read(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("create table orders (id integer)")
    checks = Checks(tmp_path, candidate=f"sqlite:///{tmp_path / 'a.db'}")
    checks.write(
        "test_a.py",
        """
        @pytest.mark.breakage(id="reads")
        def test_reads(database):
            with database["candidate"].connect() as connection:
                assert connection.exec_driver_sql("select count(*) from orders").scalar_one() == 0


        @pytest.mark.breakage(id="writes")
        def test_writes(database):
            with database["candidate"].connect() as connection:
                connection.exec_driver_sql("insert into orders values (1)")
        """,
    )
    found = checks.run()
    assert found.outcome("reads") is PASSED
    assert "readonly" in found.sentence("writes")
