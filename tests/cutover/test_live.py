"""`rehearse cutover` on a real shop with a real PostgreSQL: what it says is what happened."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cutover.shops import Shops, deed, shops

pytestmark = [pytest.mark.live, pytest.mark.timeout(170)]

ADD = "alter table shop_orders add column currency varchar(3) not null default 'EUR'"
DROP = "alter table shop_orders drop column currency"


def expand(shop: Shops, undo: str = DROP) -> dict[str, Any]:
    return shop.sql("add the column", ADD, undo, window="old app, new schema")


def codes(result: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in result["verdict"]["reasons"]]


def phases(result: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one for one in result["cutover"]["phases"] if one["phase"]["kind"] == kind]


def outages(result: dict[str, Any], probe: str) -> list[dict[str, Any]]:
    found = [one for one in result["cutover"]["disruptions"] if one["probe"]["name"] == probe]
    return list(found[0]["outages"])


def test_blue_and_green_with_an_expand_contract_migration_has_no_outage_and_comes_back(
    postgres_url: str, tmp_path: Path
) -> None:
    with shops(tmp_path, postgres_url) as shop:
        shop.plan(expand(shop), shop.start_green("2.1"), shop.switch())
        done, result = shop.cutover()
        assert done.code == 0, (done, result.get("verdict"))
        cutover = result["cutover"]
        assert all(not one["outages"] for one in cutover["disruptions"])
        assert {seen["version"] for one in cutover["disruptions"] for seen in one["versions"]} == {
            "1.0",
            "2.1",
        }
        assert [one["missing_count"] for one in cutover["rows"]] == [0, 0]
        assert all(one["written"] > 5 for one in cutover["rows"])
        gate = shop.project.run(
            "gate", "--candidate", "version=2.1", env={"REHEARSE_GATE__REQUIRES": '["cutover"]'}
        )
        other = shop.project.run(
            "gate", "--candidate", "version=2.0", env={"REHEARSE_GATE__REQUIRES": '["cutover"]'}
        )
        again = shop.project.run("judge", str(result["run_id"]))
        assert (gate.code, other.code, again.code) == (0, 13, 0), (gate, other, again)


def test_a_renamed_column_fails_the_old_version_in_the_mixed_window(
    postgres_url: str, tmp_path: Path
) -> None:
    rename = "alter table shop_orders rename column total_cents to total"
    back = "alter table shop_orders rename column total to total_cents"
    with shops(tmp_path, postgres_url) as shop:
        nothing = {"name": "nothing", "run": deed("sql", "select 1"), "undo": deed("sql", "select 1")}
        shop.plan(shop.sql("rename the column", rename, back, window="old app, new schema"), nothing)
        done, result = shop.cutover()
    assert done.code == 10, (done, result.get("verdict"))
    assert "outage" in codes(result)
    kinds = {one["kind"] for probe in ("orders", "write") for one in outages(result, probe)}
    assert kinds == {"status 500"}
    assert outages(result, "read") == []
    there, back_again = phases(result, "mixed window")
    assert min(there["longest_outage_s"], back_again["longest_outage_s"]) > 2.0  # of three


def test_a_stop_and_start_is_an_outage_as_long_as_the_server_was_down(
    postgres_url: str, tmp_path: Path
) -> None:
    with shops(tmp_path, postgres_url) as shop:
        shop.stop_and_start()
        done, result = shop.cutover()
        truth = shop.down_times(shop.blue)
    assert done.code == 0, (done, result.get("verdict"))
    found = [(one["from_s"], one["to_s"]) for one in outages(result, "read, fresh")]
    assert len(truth) == 2  # there, and back
    assert truth == [pytest.approx(one, abs=0.3) for one in (found[0], found[-1])]


def test_an_undo_that_leaves_the_schema_behind_is_abort(postgres_url: str, tmp_path: Path) -> None:
    with shops(tmp_path, postgres_url) as shop:
        shop.plan(expand(shop, undo="select 1"), shop.start_green("2.1"), shop.switch())
        done, result = shop.cutover()
    assert done.code == 10, (done, result.get("verdict"))
    assert codes(result)[0] == "left_behind"
    assert "currency" in result["verdict"]["reasons"][0]["sentence"]


def test_a_migration_that_holds_a_lock_is_an_outage_of_writes_with_reads_unharmed(
    postgres_url: str, tmp_path: Path
) -> None:
    lock = "do $$ begin lock table shop_orders in share row exclusive mode; perform pg_sleep(3); end $$"
    with shops(tmp_path, postgres_url, timeout="1500ms") as shop:
        shop.plan(shop.sql("lock", lock, "select 1"))
        done, result = shop.cutover()
    assert done.code == 10, (done, result.get("verdict"))
    assert set(codes(result)) == {"outage"}
    (outage,) = outages(result, "write, fresh")
    assert 2.6 < outage["to_s"] - outage["from_s"] < 3.4
    assert outages(result, "read") == outages(result, "orders") == []


def test_the_way_forward_from_a_broken_candidate_to_its_repair_is_timed_beside_the_way_back(
    postgres_url: str, tmp_path: Path
) -> None:
    with shops(tmp_path, postgres_url) as shop:
        repair = {"name": "start the repair", "run": deed("start", "2.1", str(shop.third)), "timeout": "40s"}
        users = {"name": "let them in", "run": deed("switch", str(shop.third)), "timeout": "10s"}
        shop.plan(expand(shop), shop.start_green("2.0"), shop.switch(), forward=(repair, users))
        done, result = shop.cutover("--forward", timeout_s=120)
    cutover = result["cutover"]
    assert done.code == 0, (done, result.get("verdict"))
    assert cutover["forward_s"] > 0.5
    assert cutover["undo_s"] > 0
    assert {seen["version"] for one in cutover["disruptions"] for seen in one["versions"]} == {
        "1.0",
        "2.0",
        "2.1",
    }
    assert [one["name"] for one in cutover["steps"] if one["direction"] == "forward"] == [
        "start the repair",
        "let them in",
    ]


def test_after_a_kill_in_the_middle_of_a_step_nothing_starts_anew_until_it_is_taken_back(
    postgres_url: str, tmp_path: Path
) -> None:
    with shops(tmp_path, postgres_url) as shop:
        long = {"name": "long", "run": deed("sleep", "60"), "undo": deed("sql", "select 1"), "timeout": "90s"}
        shop.plan(expand(shop), long)
        process = shop.project.start("cutover")
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".rehearse/logs/*/step-002-apply.log")):
            assert time.monotonic() < deadline, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        again = shop.project.run("cutover")
        assert again.code == 13, again
        assert "in the middle of apply 'long'" in again.err
        assert "'add the column', 'long'" in again.err
        assert "--undo" in again.err
        racing = shop.project.run("cutover", "--undo")
        assert racing.code == 13, racing
        assert "its command still runs" in racing.err
        os.killpg(int(racing.err.rpartition("kill -- -")[2]), signal.SIGKILL)
        undone = shop.project.run("cutover", "--undo")
        assert (undone.code, undone.out) == (0, "taken back: long, add the column\n"), undone
        nothing = shop.project.run("cutover", "--undo")
        assert nothing.code == 13, nothing
        assert "nothing is to be taken back" in nothing.err
