"""Abort criteria being watched: the first that fires counts, and one that nobody could look at is told."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from rehearse.allowlist import AllowList
from rehearse.cutovers import StepOutcome
from rehearse.cutting_over.criteria import (
    ASK_EVERY_S,
    AskedWatch,
    Blocks,
    Criteria,
    check_question,
    series_question,
)
from rehearse.cutting_over.verifying import ScriptedVerifier, Verified
from rehearse.errors import NotReady
from rehearse.metrics.promql import Prometheus


class Says:
    """Fires when it is told to."""

    def __init__(self, *answers: str | NotReady) -> None:
        self.answers = list(answers)

    def look(self, now_s: float, blocks: Blocks) -> str:
        del now_s, blocks
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, NotReady):
            raise answer
        return answer


def test_the_first_that_fires_counts_and_says_when_without_secrets() -> None:
    criteria = Criteria(
        {"a": Says("", "hidden"), "b": Says("", "never seen")}, lambda text: text.replace("hidden", "***")
    )
    criteria.look(10.0, Blocks())
    criteria.look(11.0, Blocks())
    assert criteria.fired is not None
    assert (criteria.fired.when, criteria.fired.fired_at_s, criteria.fired.sentence) == ("a", 11.0, "***")
    assert {one.when: one.fired_at_s for one in criteria.results()} == {"a": 11.0, "b": None}


def test_one_that_cannot_be_told_is_trouble_and_the_others_go_on() -> None:
    criteria = Criteria({"a": Says(NotReady("nobody there")), "b": Says("")}, unwatched={"c": "no limit"})
    criteria.look(10.0, Blocks())
    told = {one.when: one.trouble for one in criteria.results()}
    assert told == {"a": "nobody there", "b": "", "c": "no limit"}
    assert criteria.fired is None


def test_one_that_was_never_looked_at_is_trouble() -> None:
    assert [one.trouble for one in Criteria({"a": Says("")}).results()] == ["nothing was there to look at"]


# --- what has to be asked -----------------------------------------------------------------------------------------


def settled(watch: AskedWatch, now_s: float) -> str:
    """What it says once its thread has an answer."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := watch.look(now_s, Blocks()):
            return found
        time.sleep(0.001)
    return ""


def test_a_question_is_asked_beside_the_way_and_again_after_a_while() -> None:
    asked: list[float] = []

    def ask() -> str:
        asked.append(1.0)
        return "fires" if len(asked) > 1 else ""

    watch = AskedWatch(ask)
    assert watch.look(0.0, Blocks()) == ""
    while not asked:
        time.sleep(0.001)
    watch.look(ASK_EVERY_S / 2, Blocks())
    assert len(asked) == 1
    assert settled(watch, ASK_EVERY_S) == "fires"


def test_a_question_without_an_answer_is_trouble() -> None:
    def ask() -> str:
        raise NotReady("nobody there")

    watch = AskedWatch(ask)
    with pytest.raises(NotReady, match="nobody there"):
        settled(watch, 0.0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(Verified(), ""), (Verified(StepOutcome.BROKEN, "check A: texts"), "check A: texts")],
)
def test_a_check_fires_when_it_fails(answer: Verified, expected: str) -> None:
    assert check_question(ScriptedVerifier({"A": answer}), "A")() == expected


def test_a_check_without_a_result_is_no_pass() -> None:
    verifier = ScriptedVerifier({"A": Verified(StepOutcome.NOT_VERIFIED, "it crashed")})
    with pytest.raises(NotReady, match="it crashed"):
        check_question(verifier, "A")()


def prometheus(values: Callable[[], list[list[object]]]) -> Prometheus:
    def answer(request: httpx.Request) -> httpx.Response:
        if "query_range" in request.url.path:
            rows = values()
            if "timestamp" in request.url.params["query"]:
                rows = [[at, str(at)] for at, _ in rows]
            return httpx.Response(
                200, json={"status": "success", "data": {"result": [{"values": rows}] if rows else []}}
            )
        return httpx.Response(200, json={"status": "success", "data": {"result": [0, str(time.time())]}})

    return Prometheus(
        "http://127.0.0.1:9090", {}, AllowList(("127.0.0.1",), ()), transport=httpx.MockTransport(answer)
    )


@pytest.mark.parametrize(("values", "fires"), [([5, 6, 7], True), ([5, 3, 7], False), ([4, 4, 4], False)])
def test_a_series_fires_when_it_is_above_its_limit_all_the_time(values: list[int], fires: bool) -> None:
    rows: list[list[object]] = [[1000.0 + 5 * n, str(value)] for n, value in enumerate(values)]
    ask = series_question(prometheus(lambda: rows), "up", 4.0, 10.0, 5.0)
    assert bool(ask()) is fires


def test_a_series_without_points_is_no_pass() -> None:
    with pytest.raises(NotReady, match="the query found no series"):
        series_question(prometheus(list), "up", 4.0, 10.0, 5.0)()
