"""The exactly-once probe against a real service behind the real proxy: each break is found, and only where it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from rehearse.edges.orders import ConnectionCount, Counters, ProxyOrder
from rehearse.edges.proxy import FaultProxy, ScriptedFaultInjector
from rehearse.edges.retries import (
    Answer,
    EndpointCounter,
    OneOrder,
    RetryCase,
    RetryProbe,
    RetrySeen,
    SqlCounter,
)
from rehearse.edges.retry_rulings import record_of, rule_on
from rehearse.errors import NotReady
from rehearse.model import EdgeFamily, EdgeOutcome, EdgeRecord
from tests.edges.orders_service import OrdersService, taking_orders

PLANNED = EdgeRecord("retry/orders", EdgeFamily.RETRY, "Customers were charged twice.")
ORDER = OneOrder("/orders", b'{"product": 1}', b'{"product": 2}')
PASS, FAIL, INCONCLUSIVE, NOT_RUN = (
    EdgeOutcome.PASS,
    EdgeOutcome.FAIL,
    EdgeOutcome.INCONCLUSIVE,
    EdgeOutcome.NOT_RUN,
)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[OrdersService, RetryProbe]]:
    with taking_orders() as service:
        order = ProxyOrder("127.0.0.1", service.port, allow=("127.0.0.1",))
        with FaultProxy(order) as proxy:
            through = "http://{}:{}".format(*proxy.address)
            counter = EndpointCounter(direct_to(service), "/orders/count?key={key}", "orders.count")
            new_client = partial(httpx.Client, base_url=through, verify=False)
            yield service, RetryProbe(ORDER, new_client, proxy, counter, settle_s=0.1, sleep=lambda _: None)


@pytest.fixture
def service(shared: tuple[OrdersService, RetryProbe]) -> OrdersService:
    shared[0].breaks()
    return shared[0]


@pytest.fixture
def probe(shared: tuple[OrdersService, RetryProbe]) -> RetryProbe:
    return shared[1]


def direct_to(service: OrdersService) -> partial[httpx.Client]:
    return partial(httpx.Client, base_url=f"http://127.0.0.1:{service.port}", verify=False)


def counting_all(probe: RetryProbe) -> RetryProbe:
    assert isinstance(probe.counter, EndpointCounter)
    return replace(probe, counter=replace(probe.counter, path="/orders/count"))


BREAKS: list[tuple[dict[str, bool], RetryCase, EdgeOutcome]] = [
    ({}, RetryCase.LOST_RESPONSE, PASS),
    ({}, RetryCase.CONCURRENT, PASS),
    ({}, RetryCase.OTHER_PAYLOAD, PASS),
    ({"forgets_keys": True}, RetryCase.LOST_RESPONSE, FAIL),
    ({"forgets_keys": True}, RetryCase.CONCURRENT, FAIL),
    ({"forgets_keys": True}, RetryCase.OTHER_PAYLOAD, FAIL),
    ({"looks_before_it_leaps": True}, RetryCase.LOST_RESPONSE, PASS),
    ({"looks_before_it_leaps": True}, RetryCase.CONCURRENT, FAIL),
]


@pytest.mark.parametrize(("breaks", "case", "expected"), BREAKS)
def test_a_break_is_found_in_the_case_that_shows_it(
    service: OrdersService, probe: RetryProbe, breaks: dict[str, bool], case: RetryCase, expected: EdgeOutcome
) -> None:
    service.breaks(**breaks)
    seen = probe.try_case(case)
    record = record_of(PLANNED, seen, None)
    assert record.outcome is expected, record.sentence
    assert seen.effects == (1 if expected is PASS else 2)


def test_a_payload_that_is_no_longer_compared_is_worse_than_the_baseline(
    service: OrdersService, probe: RetryProbe
) -> None:
    known_good = probe.try_case(RetryCase.OTHER_PAYLOAD)
    service.breaks(ignores_payload=True)
    seen = probe.try_case(RetryCase.OTHER_PAYLOAD)
    assert [answer.status for answer in known_good.answers] == [201, 422]
    assert rule_on(seen, known_good) == (
        FAIL,
        "another order under a used key is answered 201, on the baseline 422",
    )
    assert rule_on(seen, None)[0] is PASS
    assert rule_on(known_good, seen)[0] is PASS


def test_without_a_key_it_must_not_be_worse_than_the_baseline(
    service: OrdersService, probe: RetryProbe
) -> None:
    seen = counting_all(probe).try_case(RetryCase.NO_KEY)
    assert (seen.effects, seen.injected) == (2, 1)
    assert rule_on(seen, seen)[0] is PASS
    assert rule_on(seen, replace(seen, effects=1))[0] is FAIL
    assert rule_on(seen, None)[0] is INCONCLUSIVE
    assert rule_on(seen, replace(seen, injected=0))[0] is INCONCLUSIVE
    by_key = probe.try_case(RetryCase.NO_KEY)
    assert (by_key.effects, rule_on(by_key, by_key)[0]) == (None, NOT_RUN)


def test_a_response_that_did_not_get_lost_is_not_run(service: OrdersService, probe: RetryProbe) -> None:
    """The client does not go through the proxy: a wrong port, say. The answer comes, and nothing is claimed."""
    beside = replace(probe, new_client=direct_to(service))
    for case in (RetryCase.LOST_RESPONSE, RetryCase.CONCURRENT):
        seen = beside.try_case(case)
        assert seen.injected == 0
        assert record_of(PLANNED, seen, None).outcome is NOT_RUN


def test_a_probe_that_does_not_see_the_effect_proves_nothing(
    service: OrdersService, probe: RetryProbe
) -> None:
    service.breaks(is_counted=False)
    record = record_of(PLANNED, probe.try_case(RetryCase.LOST_RESPONSE), None)
    assert record.outcome is NOT_RUN
    assert "a plain order changes the count by 0" in record.sentence


def test_a_count_that_others_change_as_well_is_noticed(service: OrdersService, probe: RetryProbe) -> None:
    seen = replace(probe, counter=Counts(range(1000))).try_case(RetryCase.LOST_RESPONSE)
    assert "still changes" in seen.problem
    assert rule_on(seen, None)[0] is NOT_RUN


def test_a_proxy_that_is_gone_leaves_nothing_proven_and_nothing_cleaned_up(service: OrdersService) -> None:
    class Gone(ScriptedFaultInjector):
        def set(self, *_: object) -> Counters:
            raise NotReady("the fault proxy ended by itself")

    seen = RetryProbe(ORDER, direct_to(service), Gone(), Counts([])).try_case(RetryCase.LOST_RESPONSE)
    assert (seen.is_cleaned_up, rule_on(seen, None)[0]) == (False, NOT_RUN)


def test_effects_are_counted_by_a_query_too(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'orders.db'}", poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (key TEXT)"))
        connection.execute(text("INSERT INTO orders VALUES ('a'), ('a'), ('b')"))
    assert SqlCounter(engine, "SELECT count(*) FROM orders").count("a") == 3
    by_key = SqlCounter(engine, "SELECT count(*) FROM orders WHERE key = :key")
    assert (by_key.count("a"), by_key.count("'; DROP TABLE orders; --")) == (2, 0)
    with pytest.raises(NotReady, match="by key"):
        by_key.count(None)
    with pytest.raises(NotReady, match="OperationalError"):
        SqlCounter(engine, "SELECT count(*) FROM nowhere").count(None)
    with pytest.raises(NotReady, match="one whole number"):
        SqlCounter(engine, "SELECT key FROM orders").count(None)
    with pytest.raises(NotReady, match="one whole number"):
        SqlCounter(engine, "SELECT max(1) FROM orders WHERE key = 'none'").count(None)


@pytest.mark.parametrize(
    ("status", "body", "value", "message"),
    [
        (500, b"{}", "n", "answers 500"),
        (200, b"not JSON", "n", "JSON"),
        (200, b'{"n": "3"}', "n", "no whole number at 'n'"),
        (200, b'{"n": true}', "n", "no whole number"),
        (200, b'{"n": 3.0}', "n", "no whole number"),
        (200, b'{"n": NaN}', "n", "JSON"),
        (200, b'{"a": {"n": 3}}', "a.m", "no whole number at 'a.m'"),
        (200, b"[3]", "0", "no whole number"),
    ],
)
def test_what_is_no_count_is_not_counted(status: int, body: bytes, value: str, message: str) -> None:
    def new_client() -> httpx.Client:
        transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
        return httpx.Client(transport=transport, base_url="http://x")

    with pytest.raises(NotReady, match=message):
        EndpointCounter(new_client, "/count", value).count(None)


# --- the ruling, piece by piece

OK, LOST, REFUSED, BROKEN = Answer(201, "a"), Answer(None, error="ReadError"), Answer(409), Answer(500)
WHOLE = RetrySeen(RetryCase.LOST_RESPONSE, (LOST, OK), effects=1, injected=1)
PAIR = RetrySeen(RetryCase.CONCURRENT, (OK, REFUSED), effects=1, injected=2)


@pytest.mark.parametrize(
    ("seen", "known_good", "expected"),
    [
        (WHOLE, None, PASS),
        (PAIR, None, PASS),
        (replace(WHOLE, injected=0), None, NOT_RUN),
        (replace(PAIR, injected=1), None, NOT_RUN),
        (replace(WHOLE, is_tried=False), None, NOT_RUN),
        (replace(WHOLE, effects=None), None, INCONCLUSIVE),
        (replace(WHOLE, problem="the count went away"), None, INCONCLUSIVE),
        (replace(WHOLE, effects=0), None, FAIL),
        (replace(WHOLE, effects=2), None, FAIL),
        (replace(WHOLE, effects=2), replace(WHOLE, effects=2), EdgeOutcome.ALREADY_BROKEN),
        (replace(WHOLE, answers=(LOST, LOST)), None, INCONCLUSIVE),
        (replace(WHOLE, answers=(LOST, REFUSED)), None, INCONCLUSIVE),
        (replace(WHOLE, answers=(LOST, REFUSED)), WHOLE, FAIL),
        (replace(PAIR, answers=(OK, BROKEN)), None, FAIL),
        (replace(PAIR, answers=()), None, INCONCLUSIVE),
    ],
)
def test_the_ruling_follows_the_evidence(
    seen: RetrySeen, known_good: RetrySeen | None, expected: EdgeOutcome
) -> None:
    assert rule_on(seen, known_good)[0] is expected


def test_a_reset_by_somebody_else_is_no_proof_that_the_answer_was_lost() -> None:
    """The client got no answer, and the proxy saw none either: the request may never have been worked on."""
    unanswered = Counters(accepted=2, connections=(ConnectionCount(1, 100, 100, 0, 0),))
    faults = ScriptedFaultInjector([Counters(accepted=1), Counters(accepted=1), unanswered])
    statuses = iter([201, None, 201])

    def answer(_: httpx.Request) -> httpx.Response:
        status = next(statuses)
        if status is None:
            raise httpx.ReadError("reset")
        return httpx.Response(status)

    new_client = partial(httpx.Client, transport=httpx.MockTransport(answer), base_url="http://x")
    probe = RetryProbe(ORDER, new_client, faults, Counts([0, 1, 1, 2]), settle_s=0.0)
    seen = probe.try_case(RetryCase.LOST_RESPONSE)
    assert (seen.effects, seen.injected, rule_on(seen, None)[0]) == (1, 0, NOT_RUN)


class Counts:
    """Prepared counts, one after the other."""

    def __init__(self, counts: Iterable[int]) -> None:
        self._counts = iter(counts)

    def count(self, key: str | None) -> int:
        return next(self._counts)
