"""Equal requests to both sides: what differs, and is no noise of one side with itself."""

from __future__ import annotations

import json
from itertools import count

from rehearse.checks.values import LIMIT_S, MAX_TARGETS, Ask, Reply, compare_values
from rehearse.model import Side, ValueDifference

TARGET = ("GET /x", "/x?page=1", 200)


def asking(baseline: object, candidate: object, status: int = 200) -> Ask:
    documents = {Side.BASELINE: baseline, Side.CANDIDATE: candidate}
    return lambda side, path: Reply(status, json.dumps(documents[side]).encode())


def test_a_value_that_differs_is_told_with_both_values() -> None:
    found = compare_values([TARGET], asking({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}))
    assert found == (ValueDifference("GET /x", 200, "$.a[*].b", 1, 1, "2", "3"),)


def test_what_differs_between_two_answers_of_one_side_says_nothing() -> None:
    fresh = count()

    def ask(side: Side, path: str) -> Reply:
        tax = 19 if side is Side.BASELINE else 7
        return Reply(200, json.dumps({"at": {"n": next(fresh)}, "tax": tax}).encode())

    assert [one.place for one in compare_values([TARGET], ask)] == ["$.tax"]


def test_what_one_side_lacks_is_nothing_there() -> None:
    (found,) = compare_values([TARGET], asking({"a": 1, "b": None}, {"a": 1}))
    assert (found.place, found.baseline, found.candidate) == ("$.b", "null", "nothing")


def test_an_answer_unlike_the_one_under_load_is_not_compared() -> None:
    assert compare_values([TARGET], asking({"a": 1}, {"a": 2}, status=401)) == ()
    assert compare_values([TARGET], lambda side, path: None) == ()
    assert compare_values([TARGET], lambda side, path: Reply(200, b"<p>")) == ()


def test_the_number_of_requests_and_their_time_are_bounded() -> None:
    asked: list[str] = []

    def ask(side: Side, path: str) -> Reply:
        asked.append(path)
        return Reply(200, b"{}")

    targets = [(f"GET /{index}", f"/{index}/{again}", 200) for index in range(60) for again in range(3)]
    compare_values(targets, ask)
    assert len(asked) == 4 * MAX_TARGETS
    assert len(set(asked)) == MAX_TARGETS  # each of another endpoint
    asked.clear()
    times = count(0, LIMIT_S / 3)
    compare_values(targets, ask, clock=lambda: float(next(times)))
    assert len(asked) <= 4 * 3
