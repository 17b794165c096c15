"""Boundary instants as inputs: only what happens at a boundary, and not on ordinary days, is a finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import httpx

from rehearse.codec import from_bytes, to_bytes
from rehearse.edges.date_inputs import DateInput, inputs_of
from rehearse.edges.dates import (
    Comparing,
    DateAnswer,
    DateRequest,
    DatesSeen,
    ask_again,
    ask_dates,
    disputed,
    ruled,
)
from rehearse.instants import Format
from rehearse.model import EdgeFamily, EdgeOutcome, EdgeRecord

PLANNED = EdgeRecord("leap-days", EdgeFamily.DATE, "It broke on 29 February.")
REQUEST = DateRequest("/sales?day={instant}")
LEAP, YEAR_END, ORDINARY = "2028-02-29", "2027-12-31", "2027-05-12"
INPUTS = (
    DateInput(LEAP, "a day that other years lack"),
    DateInput(YEAR_END, "the last day"),
    DateInput(ORDINARY),
)
MONEY = {"$": "object", "$.total": "number"}


def answers(**other: DateAnswer) -> DatesSeen:
    """200 with money for all; `leap`, `end` and `ordinary` say otherwise."""
    names = {"leap": LEAP, "end": YEAR_END, "ordinary": ORDINARY}
    return DatesSeen(tuple(other.get(name, DateAnswer(day, 200, MONEY)) for name, day in names.items()))


def record(candidate: DatesSeen, baseline: DatesSeen | None) -> EdgeRecord:
    return ruled(PLANNED, REQUEST, INPUTS, candidate, baseline, "http://127.0.0.1:8102")


def test_the_same_answers_pass() -> None:
    assert record(answers(), answers()).outcome is EdgeOutcome.PASS


def test_a_leap_day_that_breaks_names_the_instant_why_and_one_command() -> None:
    found = record(answers(leap=DateAnswer(LEAP, 500)), answers())
    assert found.outcome is EdgeOutcome.FAIL
    assert "2028-02-29 (a day that other years lack): answered 500, on the baseline 200" in found.sentence
    assert found.reproduce == "curl -i 'http://127.0.0.1:8102/sales?day=2028-02-29'"


def test_another_type_at_one_boundary_only_is_found() -> None:
    empty = DateAnswer(YEAR_END, 200, {**MONEY, "$.total": "null"})
    assert "$.total is null, on the baseline number" in record(answers(end=empty), answers()).sentence


def test_what_ordinary_days_show_as_well_is_no_matter_of_dates() -> None:
    text = {**MONEY, "$.total": "text"}
    everywhere = {
        "leap": DateAnswer(LEAP, 200, text),
        "end": DateAnswer(YEAR_END, 200, text),
        "ordinary": DateAnswer(ORDINARY, 200, text),
    }
    assert record(answers(**everywhere), answers()).outcome is EdgeOutcome.PASS


def test_a_field_more_is_no_break() -> None:
    more = DateAnswer(LEAP, 200, {**MONEY, "$.currency": "text"})
    assert record(answers(leap=more), answers()).outcome is EdgeOutcome.PASS


def test_what_both_sides_refuse_is_alike() -> None:
    refused = DateAnswer(LEAP, 422)
    assert record(answers(leap=refused), answers(leap=refused)).outcome is EdgeOutcome.PASS


def test_a_path_that_is_not_there_proves_nothing() -> None:
    nowhere = DatesSeen(tuple(DateAnswer(one.written, 404) for one in INPUTS))
    found = record(nowhere, nowhere)
    assert found.outcome is EdgeOutcome.NOT_RUN
    assert "boundary instants that the baseline answers well: 0" in found.sentence


def test_without_the_baselines_answers_it_is_not_run_and_half_asked_it_is_open() -> None:
    assert record(answers(), None).outcome is EdgeOutcome.NOT_RUN
    half = DatesSeen(answers().answers[:1], "there was time for 1 inputs only")
    assert record(half, answers()).outcome is EdgeOutcome.INCONCLUSIVE


def test_each_instant_is_asked_once_and_ordinary_days_of_the_same_years_too() -> None:
    inputs = inputs_of([Format.DATE])
    assert len({one.written for one in inputs}) == len(inputs) > 90
    boundaries = {one.written for one in inputs if one.why}
    assert {LEAP, "2100-02-28", "2038-01-19"} <= boundaries
    assert any(one.written.startswith("2028-") for one in inputs if not one.why)


def test_instants_reach_the_server_as_they_are_meant() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.params['at']} {request.content.decode()}")
        return httpx.Response(200, json={"n": 1})

    def new_client() -> httpx.Client:
        return httpx.Client(base_url="http://shop", transport=httpx.MockTransport(answer))

    request = DateRequest("/x?at={instant}", "POST", '{"at": "{instant}"}')
    seen = ask_dates(request, [DateInput("2028-02-29T23:59:59+01:00", "why")], new_client, until_s=1e18)
    assert asked == ['POST 2028-02-29T23:59:59+01:00 {"at": "2028-02-29T23:59:59+01:00"}']
    assert seen.answers[0].places == {"$": "object", "$.n": "number"}
    late = ask_dates(request, INPUTS, new_client, until_s=-1)
    assert (late.answers, late.problem) == ((), "there was time for 0 inputs only")
    assert from_bytes(DatesSeen, to_bytes(seen)) == seen


def valued(written: str, total: str, **more: str) -> DateAnswer:
    return DateAnswer(written, 200, MONEY, {"$.total": total, **more})


def all_days(total: str, leap: str | None = None) -> DatesSeen:
    days = (valued(LEAP, leap or total), valued(YEAR_END, total), valued(ORDINARY, total))
    return DatesSeen(days)


def test_another_value_at_one_boundary_only_is_found_with_both_values() -> None:
    found = record(all_days("5", leap="7"), all_days("5"))
    assert found.outcome is EdgeOutcome.FAIL
    assert "2028-02-29" in found.sentence
    assert "$.total is another value than on the baseline: 7, on the baseline 5" in found.sentence


def test_values_that_differ_on_ordinary_days_as_well_are_no_matter_of_dates() -> None:
    assert record(all_days("7"), all_days("5")).outcome is EdgeOutcome.PASS


def test_values_that_differ_today_come_from_the_load_and_a_break_on_that_day_is_still_found() -> None:
    def outcome(candidate: DatesSeen, *, leap_is_now: bool) -> EdgeOutcome:
        inputs = (replace(INPUTS[0], is_now=leap_is_now), *INPUTS[1:])
        return ruled(PLANNED, REQUEST, inputs, candidate, all_days("5"), "http://127.0.0.1:8102").outcome

    drifted = DatesSeen((valued(LEAP, "7"), valued(YEAR_END, "7"), valued(ORDINARY, "5")))
    assert outcome(drifted, leap_is_now=False) is EdgeOutcome.FAIL
    assert outcome(drifted, leap_is_now=True) is EdgeOutcome.PASS
    broken = DatesSeen((DateAnswer(LEAP, 500), *all_days("5").answers[1:]))
    assert outcome(broken, leap_is_now=True) is EdgeOutcome.FAIL


def test_now_is_asked_too_with_the_years_beside_it_and_stays_a_boundary_where_it_is_one() -> None:
    now = datetime(2028, 2, 29, 12, tzinfo=UTC)
    found = {one.written: one for one in inputs_of([Format.DATE], now=now) if one.is_now}
    assert set(found) == {LEAP, "2027-03-01", "2029-02-28"}
    assert found[LEAP].why
    found = {
        one.written: one for one in inputs_of([Format.DATE], now=now.replace(month=4, day=7)) if one.is_now
    }
    assert {text: one.why for text, one in found.items()} == {
        f"{year}-04-07": "" for year in (2027, 2028, 2029)
    }


def test_a_boundary_has_neighbours_in_its_own_format_also_at_the_end_of_the_calendar() -> None:
    by_text = {one.written: one for one in inputs_of([Format.DATE])}
    assert by_text[LEAP].neighbours == ("2028-02-26", "2028-03-03")
    assert all(1 <= len(one.neighbours) <= 2 for one in by_text.values() if one.why)


def test_places_that_the_contract_ignores_are_not_compared_and_values_can_be_left_out() -> None:
    def outcome(comparing: Comparing) -> EdgeOutcome:
        sides = all_days("5", leap="7"), all_days("5")
        return ruled(PLANNED, REQUEST, INPUTS, *sides, "http://127.0.0.1:8102", comparing).outcome

    assert outcome(Comparing()) is EdgeOutcome.FAIL
    assert outcome(Comparing(ignored_places=("$.total",))) is EdgeOutcome.PASS
    assert outcome(Comparing(values=False)) is EdgeOutcome.PASS


class Till:
    """A service whose answers have a total, and a number that is another one each time."""

    def __init__(self, totals: Mapping[str, int] = {}, moves: str = "asked") -> None:  # only read
        self.totals, self.moves, self.asked = totals, moves, list[str]()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url="http://shop", transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        day = request.url.params["day"]
        self.asked.append(day)
        return httpx.Response(200, json={"total": self.totals.get(day, 5), self.moves: len(self.asked)})


def judged(candidate: Till, baseline: Till) -> EdgeRecord:
    """Asked, and asked again where values are in dispute."""
    sides = [ask_dates(REQUEST, INPUTS, till.client, until_s=1e18) for till in (candidate, baseline)]
    again = disputed(INPUTS, sides[0], sides[1], Comparing())
    return record(
        *(
            ask_again(seen, REQUEST, again, till.client, until_s=1e18)
            for seen, till in zip(sides, (candidate, baseline), strict=True)
        )
    )


def test_only_inputs_in_dispute_are_asked_again_and_what_stays_is_a_finding() -> None:
    candidate, baseline = Till({LEAP: 7}), Till()
    found = judged(candidate, baseline)
    assert "$.total is another value than on the baseline: 7, on the baseline 5" in found.sentence
    assert candidate.asked == baseline.asked == [LEAP, YEAR_END, ORDINARY, LEAP]


def test_a_value_that_differs_at_a_neighbour_too_is_the_loads_own_data() -> None:
    near = replace(INPUTS[0], neighbours=("2028-02-26", "2028-03-03"))
    inputs = (near, *INPUTS[1:])

    def outcome(totals: Mapping[str, int]) -> EdgeOutcome:
        tills = Till(totals), Till()
        mine, theirs = (ask_dates(REQUEST, inputs, till.client, until_s=1e18) for till in tills)
        again = disputed(inputs, mine, theirs, Comparing())
        mine, theirs = (
            ask_again(seen, REQUEST, again, till.client, until_s=1e18)
            for seen, till in zip((mine, theirs), tills, strict=True)
        )
        assert tills[1].asked[3:] == [LEAP, "2028-02-26", "2028-03-03"]
        return ruled(PLANNED, REQUEST, inputs, mine, theirs, "http://127.0.0.1:8102").outcome

    assert outcome({LEAP: 7}) is EdgeOutcome.FAIL
    assert outcome({LEAP: 7, "2028-03-03": 7}) is EdgeOutcome.PASS


def test_a_break_that_lasts_beyond_the_boundary_is_not_taken_for_the_loads_data() -> None:
    near = (replace(INPUTS[0], neighbours=("2028-03-03",)), *INPUTS[1:])
    broken = answers(leap=DateAnswer(LEAP, 500))
    broken = replace(broken, answers=(*broken.answers, DateAnswer("2028-03-03", 500)))
    sound = replace(answers(), answers=(*answers().answers, DateAnswer("2028-03-03", 200, MONEY)))
    assert ruled(PLANNED, REQUEST, near, broken, sound, "http://127.0.0.1:8102").outcome is EdgeOutcome.FAIL


def test_nothing_is_asked_again_where_nothing_differs() -> None:
    candidate, baseline = Till(), Till()
    assert judged(candidate, baseline).outcome is EdgeOutcome.PASS
    assert candidate.asked == [LEAP, YEAR_END, ORDINARY]


def test_a_value_that_is_never_the_same_twice_says_nothing() -> None:
    candidate, baseline = Till(moves="total"), Till(moves="total")
    baseline.asked = ["before"]  # so that its numbers are others
    seen = ask_dates(REQUEST, INPUTS[:2], candidate.client, until_s=1e18)
    theirs = ask_dates(REQUEST, INPUTS[:2], baseline.client, until_s=1e18)
    again = disputed(INPUTS, seen, theirs, Comparing())
    assert [one.written for one in again] == [LEAP, YEAR_END]
    assert record(seen, theirs).outcome is EdgeOutcome.FAIL
    sides = (
        ask_again(one, REQUEST, again, till.client, until_s=1e18)
        for one, till in ((seen, candidate), (theirs, baseline))
    )
    assert record(*sides).outcome is EdgeOutcome.PASS


def test_what_there_is_no_time_to_ask_again_is_not_compared_by_value() -> None:
    seen = ask_dates(REQUEST, INPUTS, Till({LEAP: 7}).client, until_s=1e18)
    late = ask_again(seen, REQUEST, INPUTS[:1], Till().client, until_s=0.0)
    assert [bool(one.values) for one in late.answers] == [False, True, True]
    assert from_bytes(DatesSeen, to_bytes(late)) == late


def test_answers_to_what_has_an_effect_are_not_compared_by_value() -> None:
    orders = DateRequest("/orders?day={instant}", "POST")
    seen = ask_dates(orders, INPUTS, Till().client, until_s=1e18)
    assert [one.values for one in seen.answers] == [{}] * 3
