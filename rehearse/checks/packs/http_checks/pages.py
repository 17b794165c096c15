"""Which status a request gets, and the pages for what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from rehearse.checks.packs.http_checks.asking import (
    Answer,
    BothSides,
    Pair,
    Recorded,
    ask,
    ask_both,
    assert_as_before,
    good_pages,
    origin_of,
    page_pairs,
    read_options,
    toggled_slash,
    trace_in,
)


@pytest.mark.breakage(
    id="http/health",
    broke_on="2017-11-14",
    component="probes",
    ref="https://github.com/spring-projects/spring-boot/issues/11024",
)
def test_health_answers(candidate: httpx.Client, options: Mapping[str, object]) -> None:
    """Spring Boot 2 answered 404 to health probes that ended in a slash; one company had them all over 400 services."""
    path = read_options(options).health or pytest.skip("name the path: checks.options.http.health")
    answer = ask(candidate, path)
    assert answer.kind == "2xx", f"{answer.asked} {answer.shown}"


@pytest.mark.breakage(
    id="http/ready",
    broke_on="2020-07-25",
    component="probes",
    ref="https://github.com/spring-projects/spring-boot/issues/22562",
)
def test_ready_answers(candidate: httpx.Client, options: Mapping[str, object]) -> None:
    """Spring Boot 2.3.2, a point release, answered 404 to the readiness probe: new pods never got traffic."""
    path = read_options(options).ready or pytest.skip("name the path: checks.options.http.ready")
    answer = ask(candidate, path)
    assert answer.kind == "2xx", f"{answer.asked} {answer.shown}"


@pytest.mark.breakage(
    id="http/pages",
    broke_on="2022-03-30",
    component="routing",
    ref="https://github.com/spec-first/connexion/issues/1504",
)
def test_pages_answer_as_before(both: BothSides, options: Mapping[str, object]) -> None:
    """With Werkzeug 2.1 every endpoint of a Connexion service answered 400 instead of 200: nobody had asked one."""
    read = read_options(options)
    good_pages(both.baseline, read)
    assert_as_before(ask_both(both, page) for page in read.pages)


@pytest.mark.breakage(
    id="http/trailing-slash",
    broke_on="2022-10-24",
    component="routing",
    ref="https://github.com/spring-projects/spring-boot/issues/32864",
)
def test_a_slash_more_or_less_means_what_it_meant(both: BothSides, options: Mapping[str, object]) -> None:
    """Spring Framework 6 stopped matching /health/ where /health is routed: links with a slash too many got 404."""
    pages = [page for page in read_options(options).pages if page.partition("?")[0] != "/"]
    if not pages:
        pytest.skip("the only page is /: name others in checks.options.http.paths")
    assert_as_before(ask_both(both, toggled_slash(page)) for page in pages)


@pytest.mark.breakage(
    id="http/redirects",
    broke_on="2026-05-04",
    component="routing",
    ref="https://github.com/ncbo/ontologies_api/pull/219",
)
def test_redirects_keep_scheme_and_host(both: BothSides, options: Mapping[str, object]) -> None:
    """Rack 3 no longer trusted X-Forwarded-Proto: redirects led from https to http, and browsers blocked them."""
    pages = read_options(options).pages
    pairs = [ask_both(both, target) for page in pages for target in (page, toggled_slash(page))]
    redirected = [pair for pair in pairs if "location" in pair.old.headers and pair.old.kind == "3xx"]
    if not redirected:
        pytest.skip("no page redirects on the baseline, with or without a slash at its end")
    for pair in redirected:
        assert pair.new.kind == "3xx", pair.differs
        old, new = _destination(both.baseline, pair.old), _destination(both.candidate, pair.new)
        assert new == old, f"{pair.new.asked}: the baseline redirects to {old}, the candidate to {new}"


def _destination(client: httpx.Client, answer: Answer) -> str:
    """Where a redirect leads, without its query; what stays on the same scheme, host and port is a path."""
    asked = str(client.build_request("GET", answer.target).url)
    url = urljoin(asked, answer.header("location"))
    path = urlsplit(url).path
    return path if origin_of(url) == origin_of(asked) else url.partition("?")[0]


@pytest.mark.breakage(
    id="http/not-found",
    broke_on="2022-10-14",
    component="error pages",
    ref="https://github.com/AntelopeIO/leap/issues/324",
)
def test_the_page_for_what_is_not_there_is_of_the_same_kind(
    both: BothSides, options: Mapping[str, object]
) -> None:
    """Leap 3.2 answered 404 with plain text where every version before had sent JSON: tools could not read it."""
    _assert_error_page_as_before(ask_both(both, read_options(options).missing))


@pytest.mark.breakage(
    id="http/error-page",
    broke_on="2023-06-21",
    component="error pages",
    ref="https://github.com/litestar-org/litestar/issues/1856",
)
def test_the_page_for_a_failure_is_of_the_same_kind(both: BothSides, options: Mapping[str, object]) -> None:
    """Litestar 2, in its beta, told clients the error's own words on its 500 page, which nobody looks at by hand."""
    path = read_options(options).failing or pytest.skip(
        "name a path whose handler fails: checks.options.http.failing"
    )
    pair = ask_both(both, path)
    if pair.old.kind != "5xx":
        pytest.skip(f"{pair.old.asked} does not fail on the baseline: it {pair.old.shown}")
    _assert_error_page_as_before(pair)


def _assert_error_page_as_before(pair: Pair) -> None:
    old, new = pair.old, pair.new
    assert new.kind == old.kind, pair.differs
    assert new.text.strip() or not old.text.strip(), f"{new.asked}: the candidate's page is blank"
    assert new.media_type == old.media_type, (
        f"{new.asked}: the baseline's page is {old.media_type or 'of no type'}, "
        f"the candidate's {new.media_type or 'of no type'}"
    )
    shows = trace_in(new.text)
    assert shows is None or trace_in(old.text), f"{new.asked}: the candidate's page shows {shows}"


@pytest.mark.breakage(
    id="http/leaks-under-load",
    broke_on="2026-06-19",
    component="error pages",
    ref="https://github.com/langwatch/langwatch/issues/4986",
)
def test_no_answer_under_load_showed_a_stack_trace(recorded: Sequence[Recorded]) -> None:
    """LangWatch's older endpoints showed a stack trace with each 500, and one change added the ids of tenants to it."""
    if not recorded:
        pytest.skip("no responses were recorded under load")
    for response in recorded:
        shows = trace_in(response.text) if response.status >= 400 else None
        assert shows is None, (
            f"{response.endpoint} answered {response.status} under load, and the page shows {shows}"
        )


@pytest.mark.breakage(
    id="http/method-not-allowed",
    broke_on="2022-01-30",
    component="methods",
    ref="https://github.com/tokio-rs/axum/issues/731",
)
def test_a_method_that_is_not_allowed_is_refused_as_before(
    both: BothSides, options: Mapping[str, object]
) -> None:
    """axum 0.4 answered 405 without the Allow header, which says what is allowed and which clients and proxies read."""
    for path in _post_paths(options):
        pair = ask_both(both, path)
        if pair.old.status == 405:
            assert pair.new.status == 405, pair.differs
        assert pair.new.kind == pair.old.kind, pair.differs
        lost = pair.old.words("allow") - pair.new.words("allow")
        assert not lost, (
            f"{pair.new.asked}: the candidate's Allow header lacks {', '.join(sorted(lost)).upper()}"
        )


def _post_paths(options: Mapping[str, object]) -> tuple[str, ...]:
    paths = read_options(options).posts
    return paths or pytest.skip("name paths that take POST, and not GET: checks.options.http.posts")


@pytest.mark.breakage(
    id="http/media-type",
    broke_on="2022-04-26",
    component="request bodies",
    ref="https://github.com/pallets/flask/issues/4552",
)
def test_a_body_of_another_type_is_treated_as_before(
    both: BothSides, options: Mapping[str, object], side_effects: bool
) -> None:
    """Werkzeug 2.1 began to refuse bodies that are not declared as JSON, so services that took forms answered 400."""
    _need(side_effects)
    types = ("text/plain", "application/xml")
    assert_as_before(
        ask_both(both, path, "POST", {"Content-Type": content_type}, b"rehearse")
        for path in _post_paths(options)
        for content_type in types
    )


@pytest.mark.breakage(
    id="http/large-body",
    broke_on="2016-04-25",
    component="request bodies",
    ref="https://github.com/nginx/kubernetes-ingress/issues/21",
)
def test_a_large_body_is_treated_as_before(
    both: BothSides, options: Mapping[str, object], side_effects: bool
) -> None:
    """A new ingress came with nginx's limit of 1 MB: pushing images to a registry behind it failed with 413."""
    _need(side_effects)
    body = b'"' + b"a" * int(read_options(options).body_bytes) + b'"'
    headers = {"Content-Type": "application/json"}
    for path in _post_paths(options):
        pair = ask_both(both, path, "POST", headers, body)
        assert _fate_of_large(pair.new) == _fate_of_large(pair.old), pair.differs


def _need(side_effects: bool) -> None:
    if not side_effects:
        pytest.skip("it sends POST, and safety.side_effects is false")


def _fate_of_large(answer: Answer) -> str:
    """A server that refuses a size may close before all was sent: its 413 then reaches the client, or does not."""
    return "refused" if answer.status in {413, None} else answer.kind


@pytest.mark.breakage(
    id="http/head",
    broke_on="2020-07-22",
    component="methods",
    ref="https://github.com/fastapi/fastapi/issues/1773",
)
def test_head_answers_as_before_and_like_get(both: BothSides, options: Mapping[str, object]) -> None:
    """Routes moved from Starlette to FastAPI answer HEAD with 405: link checkers and monitors call the site dead."""
    headers = {"Accept-Encoding": "identity"}
    for pair in page_pairs(both, read_options(options), headers):
        head = ask_both(both, pair.new.target, "HEAD", headers)
        assert head.new.kind == head.old.kind, head.differs
        if head.new.kind == "2xx":
            assert head.new.media_type == pair.new.media_type, (
                f"{head.new.asked} says {head.new.media_type or 'no type'}, GET {pair.new.media_type or 'no type'}"
            )


@pytest.mark.breakage(
    id="http/cors",
    broke_on="2019-02-20",
    component="methods",
    ref="https://github.com/panva/node-oidc-provider/issues/438",
)
def test_other_sites_are_allowed_as_before(both: BothSides, options: Mapping[str, object]) -> None:
    """oidc-provider 5.5.4, a point release, lost Access-Control-Allow-Methods: browsers refused to call it."""
    read = read_options(options)
    origin = {"Origin": read.origin}
    preflight = origin | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    for target in (*read.pages, *read.posts):
        plain = ask_both(both, target, "OPTIONS")
        assert plain.new.kind == plain.old.kind, plain.differs
        for pair in (ask_both(both, target, "OPTIONS", preflight), ask_both(both, target, "GET", origin)):
            assert pair.new.kind == pair.old.kind, pair.differs
            lost = _cors(pair.old) - _cors(pair.new)
            assert not lost, (
                f"{pair.new.asked} from {read.origin}: the candidate lacks {', '.join(sorted(lost))}"
            )


def _cors(answer: Answer) -> set[str]:
    prefix = "access-control-"
    return {
        f"{name}: {word}"
        for name in answer.headers
        if name.startswith(prefix) and name != f"{prefix}max-age"
        for word in answer.words(name)
    }
