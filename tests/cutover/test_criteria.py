"""Abort criteria being watched: the first that fires counts, and one that nobody could look at is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

import httpx
import pytest

from rehearse.allowlist import AllowList
from rehearse.cutovers import CriterionSeen, StepOutcome
from rehearse.cutting_over.criteria import (
    ASK_EVERY_S,
    MOST_BLIND_S,
    AskedWatch,
    Blocks,
    Criteria,
    ObjectiveWatch,
    check_question,
    series_question,
)
from rehearse.cutting_over.verifying import ScriptedVerifier, Verified
from rehearse.errors import NotReady
from rehearse.metrics.promql import Prometheus
from rehearse.model import Metric, Objective


class Says:
    """Fires when it is told to; None is no answer, the last of them stays."""

    most_blind_s = MOST_BLIND_S

    def __init__(self, *answers: str | NotReady | None) -> None:
        self.answers = list(answers)

    def begin(self) -> None:
        pass

    def look(self, now_s: float, blocks: Blocks) -> str | None:
        del now_s, blocks
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, NotReady):
            raise answer
        return answer


GONE = NotReady("nobody there")


def watched(criteria: Criteria, *moments_s: float) -> list[CriterionSeen]:
    """Looked at at these moments; watched from the first to the last of them."""
    criteria.begin(moments_s[0])
    for moment_s in moments_s:
        criteria.look(moment_s, Blocks())
    criteria.rest(moments_s[-1])
    return list(criteria.results())


def test_the_first_that_fires_counts_and_says_when_without_secrets() -> None:
    criteria = Criteria(
        {"a": Says("", "hidden"), "b": Says("", "never seen")}, lambda text: text.replace("hidden", "***")
    )
    found = watched(criteria, 10.0, 11.0)
    assert criteria.fired is not None
    assert (criteria.fired.when, criteria.fired.fired_at_s, criteria.fired.sentence) == ("a", 11.0, "***")
    assert {one.when: one.fired_at_s for one in found} == {"a": 11.0, "b": None}


def test_one_that_cannot_be_told_is_trouble_and_the_others_go_on() -> None:
    criteria = Criteria({"a": Says(GONE), "b": Says("")}, unwatched={"c": "no limit"})
    told = {one.when: one.trouble for one in watched(criteria, 10.0, 11.0)}
    assert told == {"a": "nobody there", "b": "", "c": "no limit"}
    assert criteria.fired is None


def test_one_that_was_never_answered_is_trouble() -> None:
    assert [one.trouble for one in Criteria({"a": Says("")}).results()] == ["nobody began to look"]
    assert [one.trouble for one in watched(Criteria({"a": Says(None)}), 10.0)] == ["it never had an answer"]


def test_a_question_that_fails_once_is_asked_again_and_its_criterion_can_still_fire() -> None:
    criteria = Criteria({"a": Says("", GONE, "", "fires")})
    assert [one.sentence for one in watched(criteria, 0.0, 5.0, 10.0, 15.0)] == ["fires"]


@pytest.mark.parametrize(
    ("answers", "trouble"),
    [
        (("", GONE, ""), ""),
        (("", GONE, GONE, GONE, ""), "for 20 s it had no answer: nobody there"),
        (("", GONE, GONE, GONE, GONE), "for 20 s it had no answer: nobody there"),
        (("", None, None, None, None), "for 20 s it had no answer: the question took so long"),
    ],
    ids=["once", "for long", "until the end", "it hangs"],
)
def test_one_without_an_answer_for_longer_than_three_questions_was_not_watched(
    answers: tuple[str | NotReady | None, ...], trouble: str
) -> None:
    (found,) = watched(Criteria({"a": Says(*answers)}), *(n * ASK_EVERY_S for n in range(len(answers))))
    assert found.trouble == trouble
    assert found.blind_s == (20.0 if trouble else 10.0)


def test_what_is_not_watched_for_a_while_is_not_blind_meanwhile() -> None:
    criteria = Criteria({"a": Says("")})
    watched(criteria, 0.0, 5.0)
    assert [one.blind_s for one in watched(criteria, 100.0, 105.0)] == [5.0]


# --- what has to be asked -----------------------------------------------------------------------------------------


def answered(watch: AskedWatch, now_s: float) -> str:
    """Its answer, once its thread has one."""
    deadline = time.monotonic() + 10
    while (found := watch.look(now_s, Blocks())) is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return found


def test_a_question_is_asked_beside_the_way_and_again_after_a_while() -> None:
    asked: list[float] = []

    def ask() -> str:
        asked.append(1.0)
        return "fires" if len(asked) > 1 else ""

    watch = AskedWatch(ask)
    assert answered(watch, 0.0) == ""
    assert watch.look(ASK_EVERY_S / 2, Blocks()) is None
    assert len(asked) == 1
    assert answered(watch, ASK_EVERY_S) == "fires"


def test_a_question_that_hangs_is_no_answer_and_not_asked_beside_itself() -> None:
    asked, goes_on = list[float](), Event()

    def hang() -> str:
        asked.append(1.0)
        goes_on.wait(10)
        return ""

    criteria = Criteria({"a": AskedWatch(hang)})
    (found,) = watched(criteria, *(float(moment_s) for moment_s in range(60)))
    goes_on.set()
    assert found.trouble == "it never had an answer"
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [(GONE, "nobody there"), (OSError("no more files"), "no more files"), (KeyError("x"), "KeyError: 'x'")],
)
def test_whatever_ends_a_question_is_trouble(error: Exception, told: str) -> None:
    def ask() -> str:
        raise error

    with pytest.raises(NotReady, match=told):
        answered(AskedWatch(ask), 0.0)


def test_an_answer_from_before_it_was_watched_again_does_not_count() -> None:
    asked = Event()

    def ask() -> str:
        first = not asked.is_set()
        asked.set()
        return "of the version before" if first else ""

    watch = AskedWatch(ask)
    watch.look(0.0, Blocks())
    assert asked.wait(10)
    watch.begin()
    assert answered(watch, 1.0) == ""


def test_an_objective_without_load_has_no_answer() -> None:
    watch = ObjectiveWatch(Objective(Metric.ERROR_RATIO, margin=0.01), 0.01, 0.0)
    assert watch.look(0.0, Blocks()) is None


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
