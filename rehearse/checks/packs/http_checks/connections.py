"""How connections are kept, closed and framed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack

import httpx
import pytest

from rehearse.checks.packs.http_checks.asking import BothSides, good_pages, read_options
from rehearse.checks.packs.http_checks.wire import Connection, WireAnswer, get_once

FRESH = 5


@pytest.mark.breakage(
    id="http/keep-alive",
    broke_on="2017-12-19",
    component="connections",
    ref="https://github.com/nodejs/node/issues/17749",
)
def test_a_kept_connection_is_answered_again(both: BothSides, options: Mapping[str, object]) -> None:
    """Node 8 began to close connections after 5 s of rest: load balancers that reused one in that moment said 502."""
    read = read_options(options)
    page = good_pages(both.baseline, read)[0]
    with ExitStack() as stack:
        try:
            old, new = (stack.enter_context(Connection(side)) for side in (both.baseline, both.candidate))
        except OSError as error:
            pytest.fail(f"GET {page}: no connection: {error}", pytrace=False)
        for rest_s, when in (
            (0.0, "for the first time"),
            (0.0, "again at once"),
            (read.idle_s, "again after a rest"),
        ):
            time.sleep(rest_s)
            before, now = old.get(page), new.get(page)
            if before.kind == "no answer":  # and so no client relies on more
                pytest.skip(f"GET {page} on a connection used {when}: the baseline {before.shown}")
            assert now.kind == before.kind, (
                f"GET {page} on a connection that is used {when}{f' of {rest_s:g} s' if rest_s else ''}: "
                f"the baseline {before.shown}, the candidate {now.shown}"
            )


@pytest.mark.breakage(
    id="http/fresh-connections",
    broke_on="2024-09-16",
    component="connections",
    ref="https://github.com/CollaboraOnline/online/issues/10042",
)
def test_a_connection_is_closed_when_asked_to(candidate: httpx.Client, options: Mapping[str, object]) -> None:
    """Collabora Online ignored Connection: close after a change, and PHP clients, which wait for the end, hung."""
    page = read_options(options).pages[0]
    for turn in range(1, FRESH + 1):
        try:
            with Connection(candidate) as connection:
                answer = connection.get(page, "close")
                assert not answer.trouble, f"GET {page} on fresh connection {turn}: it {answer.shown}"
                assert connection.is_closed(), (
                    f"GET {page} with Connection: close: it was answered, and left open"
                )
        except OSError as error:
            pytest.fail(f"GET {page}: no fresh connection {turn}: {error}", pytrace=False)


@pytest.mark.breakage(
    id="http/framing",
    broke_on="2024-03-27",
    component="connections",
    ref="https://github.com/kubernetes/ingress-nginx/issues/11162",
)
def test_answers_say_once_where_they_end(candidate: httpx.Client, options: Mapping[str, object]) -> None:
    """Answers with Transfer-Encoding: chunked twice passed for years; an upgraded ingress-nginx said 502."""
    read = read_options(options)
    for page in filter(None, [*read.pages, read.missing, read.failing]):
        answer = get_once(candidate, page)
        assert not answer.trouble, f"GET {page}: {answer.trouble}"
        lengths, encodings = answer.values("content-length"), answer.values("transfer-encoding")
        assert not (lengths and encodings), f"GET {page}: it has a Content-Length and a Transfer-Encoding"
        for name, values in (("Content-Length", lengths), ("Transfer-Encoding", encodings)):
            assert len(values) <= 1, f"GET {page}: it has {len(values)} headers {name}"


@pytest.mark.breakage(
    id="http/http-1.0",
    broke_on="2018-11-21",
    component="connections",
    ref="https://github.com/emissary-ingress/emissary/issues/988",
)
def test_old_health_checks_are_answered_as_before(both: BothSides, options: Mapping[str, object]) -> None:
    """Envoy answers HTTP/1.0 with 426: load balancers that check health with it took every instance out."""
    _assert_alike(both, options, "an HTTP/1.0 request without Host", version="HTTP/1.0", has_host=False)
    _assert_alike(both, options, "an HTTP/1.0 request", version="HTTP/1.0")


@pytest.mark.breakage(
    id="http/missing-host",
    broke_on="2016-01-23",
    component="connections",
    ref="https://github.com/getsentry/sentry/issues/2590",
)
def test_a_request_without_host_is_answered_as_before(both: BothSides, options: Mapping[str, object]) -> None:
    """Amazon's load balancer checked health without a Host header: Sentry answered 400, and was taken out."""
    _assert_alike(both, options, "a request without Host", has_host=False)


def _assert_alike(
    both: BothSides,
    options: Mapping[str, object],
    what: str,
    version: str = "HTTP/1.1",
    has_host: bool = True,
) -> None:
    for page in good_pages(both.baseline, read_options(options)):
        old, new = (_asked(side, page, version, has_host) for side in (both.baseline, both.candidate))
        assert new.kind == old.kind, f"{what} of {page}: the baseline {old.shown}, the candidate {new.shown}"


def _asked(client: httpx.Client, page: str, version: str, has_host: bool) -> WireAnswer:
    return get_once(client, page, version, has_host)
