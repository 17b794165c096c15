"""The gate is closed unless everything is there: each test takes one thing away from the one good case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rehearse.errors import ExitCode
from rehearse.exit_plan import Freeze
from rehearse.judge.gate import Found, GateRuling, GateTerms, Rehearsed, are_two, rule_on
from rehearse.model import Decision, RunKind, RunState, SignOff

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CANDIDATE = {"version": "2.0", "digest": "sha256:aa"}
TERMS = GateTerms(CANDIDATE, "policy-1", (RunKind.COMPARISON,), max_age_s=72 * 3600.0)
RUN = Rehearsed(
    "run-1",
    RunKind.COMPARISON,
    RunState.FINISHED,
    "2026-11-21T10:00:00+00:00",
    {**CANDIDATE, "rows.orders": "500"},
    "policy-1",
    "staging",
    is_advisory=False,
)
GO = Found(Decision.GO, "digest-1")
ABORT, UNKNOWN = replace(GO, decision=Decision.ABORT), replace(GO, decision=Decision.INCONCLUSIVE)


def signed(
    decision: Decision, on: Decision, second: str = "", digest: str = "digest-1", person: str = "Ada"
) -> SignOff:
    return SignOff(decision, person, "because", "2026-11-21T11:00:00+00:00", on, digest, second)


def ruled(
    terms: GateTerms = TERMS, runs: Sequence[Rehearsed] = (RUN,), found: Found = GO, now: datetime = NOW
) -> GateRuling:
    return rule_on(terms, runs, lambda _: found, now)


def test_the_one_good_case_is_let_through() -> None:
    ruling = ruled()
    assert (ruling.code, ruling.is_open, ruling.run_ids) == (ExitCode.GO, True, ("run-1",))
    assert ruling.sentences == ("comparison run-1: GO",)


CLOSED: dict[str, tuple[GateTerms, tuple[Rehearsed, ...], ExitCode, str]] = {
    "no run": (TERMS, (), ExitCode.NOT_READY, "no comparison is stored"),
    "only a run that is under way": (
        TERMS,
        (replace(RUN, state=RunState.RUNNING),),
        ExitCode.NOT_READY,
        "comparison run-1: is the newest, and has not finished: it is under way, or was killed",
    ),
    "only a baseline": (TERMS, (replace(RUN, kind=RunKind.BASELINE),), ExitCode.NOT_READY, "is stored"),
    "another digest": (
        replace(TERMS, candidate=CANDIDATE | {"digest": "sha256:ab"}),
        (RUN,),
        ExitCode.NOT_READY,
        "is of the candidate version 2.0, digest sha256:ab; the newest one that is: run-1",
    ),
    "a fact that no run has": (
        replace(TERMS, candidate={"build": "7"}),
        (RUN,),
        ExitCode.NOT_READY,
        "never said build of its candidate",
    ),
    "no candidate is named": (replace(TERMS, candidate={}), (RUN,), ExitCode.NOT_READY, "no candidate"),
    "nothing is required": (replace(TERMS, requires=()), (RUN,), ExitCode.NOT_READY, "nothing can be proven"),
    "another policy": (
        replace(TERMS, policy="policy-2"),
        (RUN,),
        ExitCode.NOT_READY,
        "is under this policy",
    ),
    "another stage": (replace(TERMS, stage="dev"), (RUN,), ExitCode.NOT_READY, "was in stage 'dev'"),
    "expired": (
        TERMS,
        (replace(RUN, started_at="2026-11-18T11:59:59+00:00"),),
        ExitCode.NOT_READY,
        "has expired",
    ),
    "from the future": (
        TERMS,
        (replace(RUN, started_at="2026-11-21T12:06:00+00:00"),),
        ExitCode.NOT_READY,
        "in the future",
    ),
    "a freeze": (
        replace(TERMS, freeze=(Freeze("2026-11-21T12:00:00+00:00", "2026-11-22T00:00:00+00:00", "sale"),)),
        (RUN,),
        ExitCode.NOT_READY,
        "nothing is promoted from 2026-11-21T12:00:00+00:00",
    ),
    "an advisory run": (TERMS, (replace(RUN, is_advisory=True),), ExitCode.NOT_READY, "was advisory"),
    "a required kind is missing": (
        replace(TERMS, requires=(RunKind.COMPARISON, RunKind.CHECKS)),
        (RUN,),
        ExitCode.NOT_READY,
        "no checks is stored",
    ),
}


@pytest.mark.parametrize("case", CLOSED)
def test_it_stays_closed(case: str) -> None:
    terms, runs, code, words = CLOSED[case]
    ruling = ruled(terms, runs)
    assert ruling.code is code
    assert words in " ".join(ruling.sentences)


EVIDENCE: dict[str, tuple[Found, ExitCode, str]] = {
    "tampered": (
        replace(GO, trouble="is not what was recorded"),
        ExitCode.NOT_READY,
        "not what was recorded",
    ),
    "ABORT": (ABORT, ExitCode.ABORT, "is ABORT, and nobody has overridden"),
    "INCONCLUSIVE": (UNKNOWN, ExitCode.INCONCLUSIVE, "is INCONCLUSIVE"),
    "nothing was found at all": (Found(), ExitCode.INCONCLUSIVE, "is INCONCLUSIVE"),
    "an override without a second name": (
        replace(ABORT, sign_offs=(signed(Decision.GO, Decision.ABORT),)),
        ExitCode.ABORT,
        "a second person is needed",
    ),
    "an override by one person twice": (
        replace(UNKNOWN, sign_offs=(signed(Decision.GO, Decision.INCONCLUSIVE, second=" ADA "),)),
        ExitCode.INCONCLUSIVE,
        "a second person is needed",
    ),
    "an override of another verdict": (
        replace(ABORT, sign_offs=(signed(Decision.GO, Decision.ABORT, second="Bo", digest="digest-0"),)),
        ExitCode.ABORT,
        "nobody has overridden this verdict",
    ),
    "a person said ABORT after GO": (
        replace(GO, sign_offs=(signed(Decision.GO, Decision.GO), signed(Decision.ABORT, Decision.GO))),
        ExitCode.ABORT,
        "Ada decided ABORT: because",
    ),
    "a person said ABORT to another verdict": (
        replace(GO, sign_offs=(signed(Decision.ABORT, Decision.GO, digest="digest-0"),)),
        ExitCode.ABORT,
        "Ada decided ABORT",
    ),
}


@pytest.mark.parametrize("case", EVIDENCE)
def test_it_stays_closed_by_its_evidence(case: str) -> None:
    found, code, words = EVIDENCE[case]
    ruling = ruled(found=found)
    assert ruling.code is code
    assert words in " ".join(ruling.sentences)


def test_two_people_can_override() -> None:
    ruling = ruled(found=replace(ABORT, sign_offs=(signed(Decision.GO, Decision.ABORT, second="Bo"),)))
    assert ruling.is_open
    assert ruling.sentences == ("comparison run-1: ABORT, overridden by Ada and Bo: because",)


def test_where_a_signature_is_asked_for_go_alone_is_not_enough() -> None:
    terms = replace(TERMS, needs_sign_off=True)
    assert ruled(terms).code is ExitCode.NOT_READY
    assert ruled(terms, found=replace(GO, sign_offs=(signed(Decision.GO, Decision.GO),))).is_open
    stale = replace(GO, sign_offs=(signed(Decision.GO, Decision.GO, digest="digest-0"),))
    assert ruled(terms, found=stale).code is ExitCode.NOT_READY


def test_a_go_does_not_outlive_an_abort_of_the_same_candidate() -> None:
    later = replace(RUN, run_id="run-2", started_at="2026-11-21T11:00:00+00:00")
    look = {"run-1": GO, "run-2": ABORT}
    ruling = rule_on(TERMS, (later, RUN), lambda run: look[run.run_id], NOW)
    assert (ruling.code, ruling.run_ids) == (ExitCode.ABORT, ("run-2",))


LATER = replace(RUN, run_id="run-2", started_at="2026-11-21T11:00:00+00:00")


@pytest.mark.parametrize(
    ("facts", "found", "code"),
    [
        ({}, ABORT, ExitCode.ABORT),
        ({}, UNKNOWN, ExitCode.INCONCLUSIVE),
        ({}, replace(GO, trouble="is failed"), ExitCode.NOT_READY),
        ({}, GO, ExitCode.NOT_READY),
        (
            {},
            replace(ABORT, sign_offs=(signed(Decision.GO, Decision.ABORT, second="Bo"),)),
            ExitCode.NOT_READY,
        ),
        ({"version": "2.0"}, ABORT, ExitCode.ABORT),
        ({"version": "2.0"}, GO, ExitCode.NOT_READY),
    ],
)
def test_a_later_run_that_never_said_which_candidate_it_was_closes_and_never_opens(
    facts: dict[str, str], found: Found, code: ExitCode
) -> None:
    look = {"run-1": GO, "run-2": found}
    ruling = rule_on(TERMS, (replace(LATER, facts=facts), RUN), lambda run: look[run.run_id], NOW)
    assert (ruling.code, ruling.run_ids) == (code, ("run-2",))
    assert "digest of its candidate, which may have been this one" in ruling.sentences[0]


@pytest.mark.parametrize("facts", [CANDIDATE, {}], ids=["of this candidate", "of an unknown one"])
def test_a_later_run_that_has_not_finished_closes_it(facts: dict[str, str]) -> None:
    running = replace(LATER, facts=facts, state=RunState.RUNNING)
    ruling = ruled(runs=(running, RUN))
    assert (ruling.code, ruling.run_ids) == (ExitCode.NOT_READY, ("run-2",))
    assert "rehearse again" in ruling.sentences[0]
    assert ruled(runs=(RUN, replace(running, started_at="2026-11-21T09:00:00+00:00"))).is_open


@pytest.mark.parametrize(
    "other",
    [
        replace(LATER, facts={"version": "2.1", "digest": "sha256:bb"}),
        replace(LATER, facts={}, policy="policy-0"),
        replace(LATER, facts={}, is_advisory=True),
        replace(LATER, facts={}, kind=RunKind.CUTOVER),
    ],
)
def test_a_later_run_that_is_beside_the_point_closes_nothing(other: Rehearsed) -> None:
    assert ruled(runs=(replace(other, state=RunState.RUNNING), RUN)).is_open
    look = {"run-1": GO, "run-2": ABORT}
    assert rule_on(TERMS, (other, RUN), lambda run: look[run.run_id], NOW).is_open


def test_the_abort_of_another_candidate_says_nothing_about_this_one() -> None:
    other = replace(RUN, run_id="run-2", facts={"version": "2.1", "digest": "sha256:bb"})
    look = {"run-1": GO, "run-2": ABORT}
    assert rule_on(TERMS, (other, RUN), lambda run: look[run.run_id], NOW).is_open


def test_the_worst_of_several_kinds_is_told() -> None:
    terms = replace(TERMS, requires=(RunKind.COMPARISON, RunKind.CHECKS))
    runs = (RUN, replace(RUN, run_id="run-2", kind=RunKind.CHECKS))
    look = {"run-1": UNKNOWN, "run-2": ABORT}
    ruling = rule_on(terms, runs, lambda run: look[run.run_id], NOW)
    assert ruling.code is ExitCode.ABORT
    assert len(ruling.sentences) == 2


def test_it_is_open_up_to_the_last_second() -> None:
    assert ruled(now=NOW - timedelta(hours=2) + timedelta(seconds=TERMS.max_age_s)).is_open


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("Ada", "Bo", True),
        ("Ada", "ada ", False),
        ("Ada", "", False),
        ("", "", False),
        ("A  B", "a b", False),
    ],
)
def test_two_spellings_are_one_person(first: str, second: str, expected: bool) -> None:
    assert are_two(first, second) is expected
