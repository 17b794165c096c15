"""Each check of the `http` pack fails where its break is, says so in one sentence, and is silent where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from rehearse.checks.packs.http_checks import inputs, wire
from rehearse.checks.packs.http_checks.asking import trace_in
from tests.checks.asking import Outcome, Response, outcome_of
from tests.checks.http_pack import CHECKS, OPTIONS
from tests.checks.service import SECURITY, Answering, Asked, Reply, good, page, serving

TRACE = 'Traceback (most recent call last):\n  File "shop.py", line 3, in get'


@dataclass(frozen=True)
class Break:
    """A service that is spoilt in one way, and part of the sentence that says so."""

    check: str
    answering: Answering
    says: str


def spoilt(when: Callable[[Asked], bool], how: Callable[[Reply], Reply]) -> Answering:
    """What `good` answers, spoilt where `when` holds."""
    return lambda asked: how(good(asked)) if when(asked) else good(asked)


def misread(how: Callable[[Asked], Asked]) -> Answering:
    """What `good` answers to something else."""
    return lambda asked: good(how(asked))


def always(_: Asked) -> bool:
    return True


def at(path: str) -> Callable[[Asked], bool]:
    return lambda asked: asked.path == path


def in_query(part: str) -> Callable[[Asked], bool]:
    return lambda asked: part in asked.query


def fails(_: Reply) -> Reply:
    return page(500, {"error": "internal error"})


def with_header(**headers: str) -> Callable[[Reply], Reply]:
    return lambda reply: reply.plus(**headers)


def without(*names: str) -> Callable[[Reply], Reply]:
    return lambda reply: reply.minus(*names)


def text(body: str) -> Callable[[Reply], Reply]:
    return lambda reply: replace(reply, body=body.encode())


def raw(*lines: str) -> Callable[[Reply], Reply]:
    return lambda _: Reply(200, raw="\r\n".join(lines).encode())


def split_at_semicolons(asked: Asked) -> Asked:
    return replace(asked, query=asked.query.replace(";", "&"))


def always_packed(asked: Asked) -> Asked:
    return replace(asked, headers=asked.headers | {"accept-encoding": "gzip"})


def wants_gzip(asked: Asked) -> bool:
    return asked.headers.get("accept-encoding") == "gzip"


def first_wins(asked: Asked) -> Asked:
    """Good takes the last of several."""
    return replace(asked, query="&".join(reversed(asked.query.split("&"))))


TWICE = raw(
    "HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", "", "2", "ok", "0", "", ""
)
BOTH_WAYS = raw(
    "HTTP/1.1 200 OK", "Content-Length: 2", "Transfer-Encoding: chunked", "", "2", "ok", "0", "", ""
)
SHORT = raw("HTTP/1.1 200 OK", "Content-Length: 20", "", "too short")
PLAIN_TEXT = with_header(Content_Type="text/plain")

BREAKS = [
    Break("health", spoilt(at("/health"), fails), "GET /health answers 500"),
    Break("ready", spoilt(at("/ready"), lambda _: page(404, {})), "GET /ready answers 404"),
    Break("pages", spoilt(at("/products"), fails), "the baseline answers 200, the candidate answers 500"),
    Break("pages", spoilt(at("/products"), SHORT), "the candidate gives no answer"),
    Break("trailing-slash", spoilt(at("/products/"), lambda _: page(404, {})), "the candidate answers 404"),
    Break(
        "redirects",
        spoilt(at("/products/"), with_header(Location="http://other.example/x")),
        "to http://other.example",
    ),
    Break(
        "redirects",
        spoilt(at("/products/"), with_header(Location="https://127.0.0.1/products")),
        "to https://127.0.0.1",
    ),
    Break("redirects", spoilt(at("/products/"), lambda _: page(200, {})), "the candidate answers 200"),
    Break("not-found", spoilt(at("/rehearse-no-such-page"), PLAIN_TEXT), "the candidate's text/plain"),
    Break(
        "not-found",
        spoilt(at("/rehearse-no-such-page"), lambda _: page(200, {})),
        "the candidate answers 200",
    ),
    Break("error-page", spoilt(at("/boom"), text("")), "the candidate's page is blank"),
    Break("error-page", spoilt(at("/boom"), text(TRACE)), "shows a Python traceback"),
    Break("error-page", spoilt(at("/boom"), PLAIN_TEXT), "the baseline's page is application/json"),
    Break("error-page", spoilt(at("/boom"), lambda _: page(200, {})), "the candidate answers 200"),
    Break("method-not-allowed", spoilt(at("/orders"), without("Allow")), "lacks POST"),
    Break("method-not-allowed", spoilt(at("/orders"), lambda _: page(404, {})), "the candidate answers 404"),
    Break("media-type", spoilt(at("/orders"), lambda _: page(201, {})), "the baseline answers 415"),
    Break("large-body", spoilt(at("/orders"), lambda _: page(413, {})), "the candidate answers 413"),
    Break(
        "head",
        spoilt(lambda asked: asked.method == "HEAD", lambda _: page(405, {})),
        "the candidate answers 405",
    ),
    Break("head", spoilt(lambda asked: asked.method == "HEAD", PLAIN_TEXT), "HEAD / says text/plain"),
    Break(
        "cors", spoilt(always, without("Access-Control-Allow-Origin")), "lacks access-control-allow-origin"
    ),
    Break(
        "cors",
        spoilt(lambda asked: asked.method == "OPTIONS", lambda _: page(405, {})),
        "the candidate answers 405",
    ),
    Break(
        "content-type",
        spoilt(always, with_header(Content_Type="application/json")),
        "charset=utf-8, the candidate",
    ),
    Break("content-type", spoilt(always, PLAIN_TEXT), "the candidate text/plain"),
    Break("compression", spoilt(always, without("Content-Encoding")), "the candidate not"),
    Break("compression", misread(always_packed), "for a client that asked for none"),
    Break("compression", spoilt(wants_gzip, text("{}")), "the candidate gives no answer"),
    Break("vary", spoilt(always, with_header(Vary="Origin")), "lacks accept-encoding"),
    Break("cache-control", spoilt(always, with_header(Cache_Control="public")), "the candidate's public"),
    Break("cache-control", spoilt(always, without("Cache-Control")), "the candidate's missing"),
    Break("conditional", spoilt(always, with_header(ETag="v1")), "sends everything again"),
    Break(
        "security-headers", spoilt(always, without("X-Content-Type-Options")), "lacks x-content-type-options"
    ),
    Break("security-headers", spoilt(at("/boom"), without(*SECURITY)), "GET /boom: the candidate lacks"),
    Break("date", spoilt(always, with_header(Date="Thu, 01 Jan 2026 00:00:00 GMT")), "apart from our clock"),
    Break("date", spoilt(always, with_header(Date="yesterday")), "is not a date"),
    Break("date", spoilt(always, with_header(Date=f"1 Jan {'9' * 20} 00:00:00 GMT")), "is not a date"),
    Break("keep-alive", spoilt(always, lambda reply: replace(reply, closes=True)), "used again at once"),
    Break("fresh-connections", spoilt(always, lambda reply: replace(reply, closes=False)), "and left open"),
    Break("fresh-connections", spoilt(lambda asked: asked.turn == 1, SHORT), "on fresh connection 1"),
    Break("framing", spoilt(always, TWICE), "GET /:"),
    Break("framing", spoilt(always, BOTH_WAYS), "a Content-Length and a Transfer-Encoding"),
    Break("framing", spoilt(at("/boom"), SHORT), "GET /boom:"),
    Break(
        "http-1.0", spoilt(lambda asked: asked.version == "HTTP/1.0", lambda _: page(426, {})), "answers 426"
    ),
    Break(
        "missing-host",
        spoilt(lambda asked: "host" not in asked.headers, lambda _: page(200, {})),
        "answers 200",
    ),
    Break("semicolons", spoilt(in_query(";"), fails), "the candidate answers 500"),
    Break("semicolons", misread(split_at_semicolons), "answers something else, the candidate the same"),
    Break(
        "repeated-parameters",
        spoilt(in_query("a=1&a=2"), lambda _: page(422, {})),
        "the candidate answers 422",
    ),
    Break("repeated-parameters", misread(first_wins), "a second 'category' at the end"),
    Break(
        "empty-values",
        spoilt(in_query("category=&page="), lambda _: page(422, {})),
        "the candidate answers 422",
    ),
    Break("long-integers", spoilt(in_query(inputs.DIGITS), fails), "a number of 4301 digits: it answers 500"),
    Break("utf-8", spoilt(in_query("%F0"), fails), "four bytes: GET /?a="),
    Break("utf-8", spoilt(lambda asked: asked.path.endswith("%FF"), fails), "a byte that is not UTF-8"),
    Break(
        "long-urls",
        spoilt(lambda asked: len(asked.query) > 4_000, lambda _: page(414, {})),
        "4000 characters more",
    ),
    Break(
        "long-headers",
        spoilt(lambda asked: "x-rehearse" in asked.headers, lambda _: page(431, {})),
        "2000 characters",
    ),
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers on loopback answer at once, or not at all."""
    monkeypatch.setattr(wire, "TIMEOUT_S", 0.5)


@pytest.fixture(scope="module")
def known_good() -> Iterator[str]:
    with serving() as url:
        yield url


def run(check: str, baseline: str, candidate: str) -> Outcome:
    recorded = [Response("GET /", 500, '{"error": "internal error"}')]
    return outcome_of(CHECKS[check], baseline, candidate, OPTIONS, recorded)


@pytest.mark.parametrize("broken", BREAKS, ids=[f"{case.check}: {case.says}" for case in BREAKS])
def test_a_check_fails_where_its_break_is(known_good: str, broken: Break) -> None:
    with serving(broken.answering) as candidate:
        outcome = run(broken.check, known_good, candidate)
    assert outcome.word == "failed", outcome
    assert broken.says in outcome.sentence
    assert "\n" not in outcome.sentence


def test_every_check_has_a_break_that_it_finds() -> None:
    elsewhere = {"leaks-under-load", "tls-chain", "tls-expiry"}
    assert {case.check for case in BREAKS} | elsewhere == set(CHECKS)


@pytest.mark.parametrize("check", sorted(set(CHECKS) - {"tls-chain", "tls-expiry"}))
def test_a_check_passes_where_both_sides_are_alike(known_good: str, check: str) -> None:
    with serving() as candidate:
        assert run(check, known_good, candidate) == Outcome("passed")


def test_a_check_that_needs_to_know_more_says_what(known_good: str) -> None:
    outcomes = {
        name: outcome_of(check, known_good, known_good, {"idle_s": 0.1}) for name, check in CHECKS.items()
    }
    assert {outcome.word for outcome in outcomes.values()} == {"passed", "not run"}
    assert {name: outcome.sentence for name, outcome in outcomes.items() if outcome.word == "not run"} == {
        "health": "name the path: checks.options.http.health",
        "ready": "name the path: checks.options.http.ready",
        "trailing-slash": "the only page is /: name others in checks.options.http.paths",
        "redirects": "no page redirects on the baseline, with or without a slash at its end",
        "error-page": "name a path whose handler fails: checks.options.http.failing",
        "leaks-under-load": "no responses were recorded under load",
        "method-not-allowed": "name paths that take POST, and not GET: checks.options.http.posts",
        "media-type": "name paths that take POST, and not GET: checks.options.http.posts",
        "large-body": "name paths that take POST, and not GET: checks.options.http.posts",
        "tls-chain": "the target is not https",
        "tls-expiry": "the target is not https",
    }


def test_where_no_page_answers_the_checks_of_pages_are_not_run(known_good: str) -> None:
    reason = "none of /nowhere answers 2xx: name pages in checks.options.http.paths"
    for check in ("pages", "head", "compression", "utf-8", "keep-alive", "long-integers"):
        outcome = outcome_of(CHECKS[check], known_good, known_good, {"paths": ["/nowhere"]})
        assert outcome == Outcome("not run", reason)


def test_a_page_that_fails_altogether_is_told_once(known_good: str) -> None:
    everything_fails = spoilt(lambda asked: asked.path in {"/", "/products"}, fails)
    with serving(everything_fails) as candidate:
        assert run("pages", known_good, candidate).word == "failed"
        told = Outcome("not run", "no page answers 2xx on both sides: see http/pages")
        assert run("vary", known_good, candidate) == told


def test_a_service_that_answers_nothing_passes_no_check(known_good: str) -> None:
    words = {name: run(name, known_good, "http://127.0.0.1:1").word for name in CHECKS}
    assert [name for name, word in words.items() if word == "passed"] == ["leaks-under-load"]


def test_a_page_with_a_very_long_address_is_asked_by_all_of_it(known_good: str) -> None:
    def head_is_known_by_its_end(asked: Asked) -> Reply:
        cut = asked.method == "HEAD" and not asked.query.endswith("page=2")
        return page(404, {}) if cut else good(asked)

    long_page = f"/products?note={'a' * 200}&page=2"
    with serving(head_is_known_by_its_end) as candidate:
        outcome = outcome_of(CHECKS["head"], known_good, candidate, {"paths": [long_page]})
    assert outcome == Outcome("passed")


@pytest.mark.parametrize(("status", "word"), [(500, "failed"), (404, "failed"), (200, "passed")])
def test_an_error_under_load_that_shows_a_stack_trace_is_found(status: int, word: str) -> None:
    recorded = [Response("GET /x", 500, "{}"), Response("GET /x", status, TRACE)]
    outcome = outcome_of(CHECKS["leaks-under-load"], "http://a", "http://b", {}, recorded)
    says = f"GET /x answered {status} under load, and the page shows a Python traceback"
    assert outcome == Outcome(word, says if word == "failed" else "")


@pytest.mark.parametrize("check", ["media-type", "large-body"])
def test_nothing_is_posted_unless_side_effects_are_allowed(check: str) -> None:
    nobody = "http://127.0.0.1:1"  # asked, both sides would answer alike: not at all
    outcome = outcome_of(CHECKS[check], nobody, nobody, OPTIONS, side_effects=False)
    assert outcome == Outcome("not run", "it sends POST, and safety.side_effects is false")


@pytest.mark.parametrize(
    ("shown", "what"),
    [
        (TRACE, "a Python traceback"),
        ("\tat com.shop.Orders.place(Orders.java:42)", "a Java stack trace"),
        ("    at place (/srv/shop/orders.js:10:5)", "a JavaScript stack trace"),
        ("   at Shop.Orders.Place(Int32 id) in C:\\shop\\Orders.cs:line 12", "a .NET stack trace"),
        ("#0 /srv/shop/index.php(12): place()", "a PHP stack trace"),
        ("/srv/shop/orders.rb:12:in `place'", "a Ruby stack trace"),
        ("goroutine 1 [running]:\nmain.main()", "a Go stack trace"),
        ("thread 'main' panicked at src/main.rs:2", "a Rust panic"),
        ("    at node:internal/process/task_queues:95:5", "a JavaScript stack trace"),
        ("nothing was found at /reports/2026-01-01T10:30:00", None),
        ("meet us at 10:30:00 at the shop (orders.java)", None),
        ('{"error": "no product at line 3", "at": "2026-01-01T10:30:00"}', None),
    ],
)
def test_a_stack_trace_is_recognised(shown: str, what: str | None) -> None:
    assert trace_in(shown) == what
