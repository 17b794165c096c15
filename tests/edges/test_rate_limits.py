"""Rate limits: whoever is told to wait, and waits, is answered; what the baseline says, the candidate has to say."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from rehearse.codec import from_bytes, to_bytes
from rehearse.edges.rate_limits import LimitProbe, LimitSeen, read_wait, ruled
from rehearse.model import EdgeFamily, EdgeOutcome, EdgeRecord
from tests.servers import serving

PLANNED = EdgeRecord("limit", EdgeFamily.RETRY, "Clients were told to wait, and did not know for how long.")
KEPT = LimitSeen(11, 429, "2", 2.0, 200)
FAR_AWAY = "1 Jan 99999999999999999999 00:00:00 GMT"
DATE = "Sat, 21 Nov 2026 12:00:05 GMT"


def record(candidate: LimitSeen, baseline: LimitSeen | None = KEPT) -> EdgeRecord:
    return ruled(PLANNED, "up to 100 times GET /x", candidate, baseline, 20.0)


def test_a_limit_that_is_told_and_kept_as_on_the_baseline_passes() -> None:
    found = record(LimitSeen(9, 429, "3", 3.0, 200))
    assert found.outcome is EdgeOutcome.PASS
    assert "refuses request 9 with 429, `Retry-After: 3`, and answers 200 afterwards" in found.told


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (LimitSeen(100), "answers 100 requests in a row and refuses none"),
        (LimitSeen(11, 429), "does not say for how long: it refuses request 11 with 429, no `Retry-After`"),
        (LimitSeen(11, 429, "soon"), "does not say for how long"),
        (LimitSeen(11, 429, "3600", 3600.0), "it asks to wait 3600 s, longer than `longest_wait`"),
        (LimitSeen(11, 503, "2", 2.0, 429), "does not keep its word"),
    ],
)
def test_what_the_baseline_tells_and_keeps_and_the_candidate_does_not_fails(
    candidate: LimitSeen, expected: str
) -> None:
    found = record(candidate)
    assert (found.outcome, expected in found.sentence) == (EdgeOutcome.FAIL, True)


def test_what_the_baseline_does_not_tell_or_keep_either_is_not_the_upgrades_doing() -> None:
    silent = LimitSeen(11, 429)
    assert record(silent, silent).outcome is EdgeOutcome.PASS
    broken = LimitSeen(11, 429, "2", 2.0, 429)
    assert record(broken, broken).outcome is EdgeOutcome.ALREADY_BROKEN
    assert record(LimitSeen(5)).outcome is EdgeOutcome.INCONCLUSIVE  # the baseline refused the eleventh
    long = LimitSeen(11, 429, "3600", 3600.0)
    assert record(long, long).outcome is EdgeOutcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("candidate", "baseline"),
    [(KEPT, LimitSeen(100)), (KEPT, None), (LimitSeen(problem="it is gone"), KEPT), (LimitSeen(), KEPT)],
    ids=["no limit on the baseline", "no baseline", "a side that does not answer", "nothing sent"],
)
def test_without_a_refusal_of_the_baseline_or_an_answer_it_was_not_run(
    candidate: LimitSeen, baseline: LimitSeen | None
) -> None:
    assert record(candidate, baseline).outcome is EdgeOutcome.NOT_RUN


@pytest.mark.parametrize(
    ("text", "date", "expected"),
    [
        ("120", "", 120.0),
        (" 0 ", "", 0.0),
        (DATE, "Sat, 21 Nov 2026 12:00:00 GMT", 5.0),
        (DATE, "", 4.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", "", 0.0),
        ("", "", None),
        ("soon", "", None),
        ("-5", "", None),
        ("1.5", "", None),
        ("٣", "", None),
        (FAR_AWAY, "", None),
        (DATE, FAR_AWAY, 4.0),
    ],
)
def test_a_wait_is_seconds_or_a_date(text: str, date: str, expected: float | None) -> None:
    assert read_wait(text, date, lambda: datetime(2026, 11, 21, 12, 0, 1, tzinfo=UTC)) == expected


def limited(after: int, kept: bool = True) -> tuple[LimitProbe, list[float]]:
    """A service that refuses from some request on, until somebody waits."""
    asked, slept = [0], list[float]()

    def answer(_: httpx.Request) -> httpx.Response:
        asked[0] += 1
        is_over = asked[0] > after and not (slept and kept)
        return httpx.Response(429, headers={"Retry-After": "2"}) if is_over else httpx.Response(200)

    def new_client() -> httpx.Client:
        return httpx.Client(base_url="http://shop", transport=httpx.MockTransport(answer))

    return LimitProbe(new_client, "/x", 20, 20.0, slept.append), slept


def test_it_asks_until_it_is_refused_waits_as_it_is_told_and_asks_again() -> None:
    probe, slept = limited(after=7)
    assert probe.run() == LimitSeen(8, 429, "2", 2.0, 200)
    assert slept == [2.0]


def test_a_limit_that_is_not_kept_and_one_that_is_not_there_are_seen_as_such() -> None:
    probe, slept = limited(after=7, kept=False)
    assert probe.run().then == 429
    assert slept[0] == 2.0
    assert limited(after=100)[0].run() == LimitSeen(20)


def test_it_does_not_wait_for_longer_than_is_wanted() -> None:
    with serving(status=503, headers={"Retry-After": "3600"}) as site:
        seen = LimitProbe(lambda: httpx.Client(base_url=site.url), "/x", 5, 20.0).run()
    assert seen == LimitSeen(1, 503, "3600", 3600.0)
    assert from_bytes(LimitSeen, to_bytes(seen)) == seen
    gone = LimitProbe(lambda: httpx.Client(base_url=site.url, timeout=1), "/x", 5, 20.0).run()
    assert "does not answer" in gone.problem
