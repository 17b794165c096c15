"""What answers say of themselves: types, compression, caching, security, and the time."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from rehearse.checks.packs.http_checks.asking import (
    Answer,
    BothSides,
    Options,
    Pair,
    ask,
    ask_both,
    good_pages,
    page_pairs,
    read_options,
)

SECURITY_HEADERS = (
    "content-security-policy",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "referrer-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
)
GZIP = {"Accept-Encoding": "gzip"}
TRIES = 3


@pytest.mark.breakage(
    id="http/content-type",
    broke_on="2019-05-13",
    component="content",
    ref="https://github.com/spring-projects/spring-framework/issues/22954",
)
def test_type_and_charset_are_as_before(both: BothSides, options: Mapping[str, object]) -> None:
    """Spring 5.2 dropped charset=UTF-8 from its JSON: a client that falls back to Latin-1 then garbles every umlaut."""
    for pair in page_pairs(both, read_options(options)):
        old, new = (_type_of(answer) for answer in (pair.old, pair.new))
        assert new == old, f"{pair.new.asked}: the baseline sends {old}, the candidate {new}"


def _type_of(answer: Answer) -> str:
    media_type, _, rest = (answer.header("content-type") or "no content type").lower().partition(";")
    charsets = [part.strip() for part in rest.split(";") if part.strip().startswith("charset=")]
    return "; ".join([media_type.strip(), *charsets]).replace('"', "")


@pytest.mark.breakage(
    id="http/compression",
    broke_on="2013-09-24",
    component="content",
    ref="https://github.com/ant0ine/go-json-rest/issues/31",
)
def test_what_was_compressed_still_is(both: BothSides, options: Mapping[str, object]) -> None:
    """A change in go-json-rest lost Content-Encoding: gzip, for the second time: clients read packed bytes as text."""
    read = read_options(options)
    for pair in page_pairs(both, read, GZIP):
        lost = pair.old.words("content-encoding") - pair.new.words("content-encoding")
        assert not lost, (
            f"{pair.new.asked}: the baseline compresses it with {', '.join(lost)}, the candidate not"
        )
        _assert_readable(pair.new)
    for pair in page_pairs(both, read, {"Accept-Encoding": "identity"}):
        added = pair.new.words("content-encoding") - pair.old.words("content-encoding") - {"identity"}
        assert not added, (
            f"{pair.new.asked}: compressed with {', '.join(added)} for a client that asked for none"
        )


def _assert_readable(answer: Answer) -> None:
    is_packed = answer.text.startswith("\x1f") and answer.media_type.startswith(("text/", "application/json"))
    assert not is_packed, f"{answer.asked}: a packed body without a Content-Encoding header"


@pytest.mark.breakage(
    id="http/vary",
    broke_on="2017-03-02",
    component="caching",
    ref="https://github.com/expressjs/cors/issues/106",
)
def test_caches_are_told_what_an_answer_depends_on(both: BothSides, options: Mapping[str, object]) -> None:
    """Without Vary: Origin a cache gave one site's answer to all others, and browsers refused it."""
    read = read_options(options)
    for headers in (GZIP, {"Origin": read.origin}):
        for pair in page_pairs(both, read, headers):
            new = pair.new.words("vary")
            lost = set() if "*" in new else pair.old.words("vary") - new
            assert not lost, f"{pair.new.asked}: the candidate's Vary header lacks {', '.join(sorted(lost))}"


@pytest.mark.breakage(
    id="http/cache-control",
    broke_on="2019-01-06",
    component="caching",
    ref="https://github.com/rails/rails/pull/34885",
)
def test_caches_may_keep_what_they_might(both: BothSides, options: Mapping[str, object]) -> None:
    """Rails 5.2 began to drop `public` from Cache-Control beside `no-cache`: shared caches kept nothing any more."""
    for pair in page_pairs(both, read_options(options)):
        old, new = (_cache_words(answer) for answer in (pair.old, pair.new))
        assert new == old, (
            f"{pair.new.asked}: the baseline's Cache-Control is {_shown(old)}, the candidate's {_shown(new)}"
        )


def _cache_words(answer: Answer) -> set[str]:
    """The directives without their numbers: how long is a matter of tuning, whether at all is not."""
    return {word.partition("=")[0].strip() for word in answer.words("cache-control")}


def _shown(words: set[str]) -> str:
    return ", ".join(sorted(words)) or "missing"


@pytest.mark.breakage(
    id="http/conditional",
    broke_on="2026-07-29",
    component="caching",
    ref="https://github.com/Particular/ServiceControl/pull/5662",
)
def test_what_did_not_change_is_not_sent_again(both: BothSides, options: Mapping[str, object]) -> None:
    """ServiceControl sent an ETag without quotes: it never matched, and each poll got the full payload again."""
    conditions = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
    asked = False
    for page in good_pages(both.baseline, read_options(options)):
        for validator, condition in conditions.items():
            if _is_revalidated(both.baseline, page, validator, condition):
                asked = True
                assert _is_revalidated(both.candidate, page, validator, condition), (
                    f"GET {page} with {condition}: the baseline answers 304, the candidate sends everything again"
                )
    if not asked:
        pytest.skip("no page of the baseline answers 304")


def _is_revalidated(client: httpx.Client, page: str, validator: str, condition: str) -> bool:
    """Asked a few times: a page may change between the two requests."""
    for _ in range(TRIES):
        value = ask(client, page).header(validator)
        if not value:
            return False
        if ask(client, page, headers={condition: value}).status == 304:
            return True
    return False


@pytest.mark.breakage(
    id="http/security-headers",
    broke_on="2020-08-16",
    component="security",
    ref="https://github.com/kubernetes/ingress-nginx/issues/6027",
)
def test_no_security_header_is_lost(both: BothSides, options: Mapping[str, object]) -> None:
    """Answers of ingress-nginx's error backend came without Strict-Transport-Security: the first visit stayed open."""
    read = read_options(options)
    errors = [ask_both(both, path) for path in (read.missing, read.failing) if path]
    for pair in [*page_pairs(both, read), *errors]:
        lost = [name for name in SECURITY_HEADERS if name in pair.old.headers and not _has(pair, name)]
        assert not lost, f"{pair.new.asked}: the candidate lacks {', '.join(lost)}"


def _has(pair: Pair, name: str) -> bool:
    by_policy = name == "x-frame-options" and "frame-ancestors" in pair.new.header("content-security-policy")
    return name in pair.new.headers or by_policy


@pytest.mark.breakage(
    id="http/date",
    broke_on="2015-09-05",
    component="clock",
    severity="warn",
    ref="https://github.com/StorjOld/dataserv-client/issues/111",
)
def test_its_clock_is_near_ours(candidate: httpx.Client, options: Mapping[str, object]) -> None:
    """A clock one second apart made a server refuse every signed request; caches and tokens go by the clock too."""
    read = read_options(options)
    answer = ask(candidate, read.pages[0])
    told = answer.header("date") or pytest.skip(f"{answer.asked} {answer.shown}, without a Date header")
    age = timedelta(seconds=int(_digits(answer.header("age"))))  # a cache's answer is as old as it says
    apart = abs(datetime.now(UTC) - age - _read_date(told))
    assert apart <= timedelta(seconds=read.clock_s), (
        f"{answer.asked}: its Date header is {apart.total_seconds():.0f} s apart from our clock"
    )


def _digits(text: str) -> str:
    return text if text.isdecimal() else "0"


def _read_date(text: str) -> datetime:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):  # a year of twenty digits is none
        pytest.fail(f"the Date header {text!r} is not a date", pytrace=False)


@pytest.mark.breakage(
    id="http/tls-chain",
    broke_on="2021-09-30",
    component="tls",
    ref="https://github.com/curl/curl-www/issues/154",
)
def test_its_certificate_is_trusted(candidate: httpx.Client, options: Mapping[str, object]) -> None:
    """When the root certificate DST Root CA X3 ended, older clients refused all servers whose chain still led to it."""
    answer, _ = _handshake(candidate, read_options(options))
    assert "CERTIFICATE_VERIFY_FAILED" not in answer.trouble, answer.trouble
    assert answer.kind != "no answer", f"{answer.asked} {answer.shown}"


@pytest.mark.breakage(
    id="http/tls-expiry",
    broke_on="2026-01-12",
    component="tls",
    severity="warn",
    ref="https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/4541",
)
def test_its_certificate_does_not_end_soon(candidate: httpx.Client, options: Mapping[str, object]) -> None:
    """An upgrade took away who renewed a certificate and left the certificate: when that ended, all stood still."""
    read = read_options(options)
    answer, certificate = _handshake(candidate, read)
    if not certificate:
        pytest.skip(f"no certificate to look at: it {answer.shown}, and verification may be switched off")
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    days = (ends - datetime.now(UTC)) / timedelta(days=1)
    assert days >= read.certificate_days, f"the certificate ends on {ends:%Y-%m-%d}, in {days:.1f} days"


def _handshake(client: httpx.Client, options: Options) -> tuple[Answer, Mapping[str, object]]:
    """An answer over TLS, and the certificate that was verified for it, if one was."""
    if client.base_url.scheme != "https":
        pytest.skip("the target is not https")
    page = options.pages[0]
    try:
        with client.stream("GET", page, follow_redirects=False) as response:
            tls = response.extensions["network_stream"].get_extra_info("ssl_object")
            certificate = tls.getpeercert() if tls is not None else None
            return Answer("GET", page, response.status_code, response.headers), certificate or {}
    except httpx.TransportError as error:
        return Answer("GET", page, None, trouble=str(error)), {}
