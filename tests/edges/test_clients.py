"""Slow and impatient clients against a real server: what counts is what the server really had to bear."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from rehearse.allowlist import AllowList
from rehearse.edges.asking import Place
from rehearse.edges.clients import BadClients, Manner
from rehearse.errors import TargetRefused
from tests.servers import Site, serving


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def clients(site: Site, manner: Manner, count: int = 4, patience_s: float = 0.02) -> BadClients:
    return BadClients(Place(site.url, AllowList(("127.0.0.1",))), manner, count, "/look", patience_s)


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("manner", [Manner.SLOW_HEADER, Manner.SLOW_BODY])
def test_slow_ones_hold_their_connections_and_others_are_served_meanwhile(site: Site, manner: Manner) -> None:
    bad = clients(site, manner)
    bad.begin()
    wait_for(lambda: site.connections >= 4)
    assert httpx.get(f"{site.url}/other", trust_env=False).status_code == 200
    time.sleep(1.0)  # as long as it takes to be slow
    assert site.requests == ["GET /other"]  # none of theirs was a whole request
    bad.end()
    assert bad.acted() == 4


def test_slow_readers_leave_the_answer_with_the_server_and_others_are_served_meanwhile(site: Site) -> None:
    site.body = b"x" * 5_000_000  # more than all buffers on the way together
    bad = clients(site, Manner.SLOW_READING)
    bad.begin()
    wait_for(lambda: len(site.requests) >= 4)
    time.sleep(1.0)
    assert site.requests == ["GET /look"] * 4  # each still has its first answer to take
    site.body = b"ok"
    assert httpx.get(f"{site.url}/other", trust_env=False).text == "ok"
    bad.end()
    assert bad.acted() == 4


def test_before_they_were_slow_for_long_enough_nothing_is_proven(site: Site) -> None:
    bad = clients(site, Manner.SLOW_HEADER)
    bad.begin()
    wait_for(lambda: site.connections >= 4)
    bad.end()
    assert bad.acted() == 0


def test_impatient_ones_are_gone_before_they_are_answered(site: Site) -> None:
    site.delay_s = 0.2
    bad = clients(site, Manner.GIVE_UP)
    bad.begin()
    wait_for(lambda: len(site.requests) >= 8)
    bad.end()
    assert bad.acted() >= 8 - 4
    assert set(site.requests) == {"GET /look"}


def test_whom_the_server_answers_in_time_is_no_proof(site: Site) -> None:
    bad = clients(site, Manner.GIVE_UP, count=1, patience_s=2.0)
    bad.begin()
    wait_for(lambda: len(site.requests) >= 1)
    bad.end()
    assert bad.acted() == 0


def test_they_go_nowhere_that_is_not_allowed(site: Site) -> None:
    stranger = BadClients(Place(site.url, AllowList(("10.0.0.1",))), Manner.GIVE_UP, 1, "/")
    with pytest.raises(TargetRefused):
        stranger.begin()
    stranger.end()
    assert stranger.acted() == 0
