"""How the checks of the `http` pack ask, and what of an answer they compare."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Protocol
from urllib.parse import urlsplit

import httpx
import pytest

from rehearse.errors import ConfigError, nearest


class BothSides(Protocol):
    """The fixture `both`."""

    @property
    def baseline(self) -> httpx.Client:
        """Asks the known-good side."""
        ...

    @property
    def candidate(self) -> httpx.Client:
        """Asks the side under test."""
        ...


class Recorded(Protocol):
    """One response of the side under test, seen under load; the fixture `recorded` is a list of them."""

    @property
    def endpoint(self) -> str:
        """ "GET /products/{id}"."""
        ...

    @property
    def status(self) -> int:
        """404."""
        ...

    @property
    def text(self) -> str:
        """Its body."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """What `[checks.options.http]` says of the service."""

    paths: tuple[str, ...] = ()  # pages that answer GET with 2xx
    health: str = ""
    ready: str = ""
    missing: str = "/rehearse-no-such-page"
    failing: str = ""  # answers 5xx on purpose, to look at the error page
    posts: tuple[str, ...] = ()  # take POST with JSON, and not GET
    origin: str = "https://rehearse.example"  # of another site, for CORS
    body_bytes: int = 2_000_000  # of a POST that is large
    idle_s: float = 3.3  # how long a connection rests before it is used again
    clock_s: float = 30.0  # how far the Date header may be from our clock
    certificate_days: int = 14  # how long the certificate must hold at least

    @property
    def pages(self) -> tuple[str, ...]:
        """Where a page can be expected: as listed, or else what else is known."""
        return self.paths or tuple(filter(None, (self.health, self.ready))) or ("/",)


def read_options(given: Mapping[str, object]) -> Options:
    """The fixture `options` as the pack understands it. Raises ConfigError."""
    known = {field.name: field.default for field in fields(Options)}
    values: dict[str, object] = {}
    for name, value in given.items():
        where = f"checks.options.http.{name}"
        if name not in known:
            raise ConfigError(f"{where}: there is no such option. {nearest(name, known)}")
        values[name] = _read(where, value, known[name])
    return Options(**values)  # type: ignore[arg-type]  # each was read as its default is


def _read(where: str, value: object, default: object) -> object:
    if isinstance(default, tuple):
        if isinstance(value, list | tuple) and value and all(_is_path(path) for path in value):
            return tuple(value)
        raise ConfigError(f'{where}: a list of paths is expected, like ["/products"], not {value!r}')
    if isinstance(default, str):
        if isinstance(value, str) and (_is_path(value) or "://" in default):
            return value
        raise ConfigError(f'{where}: a path is expected, like "/health", not {value!r}')
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return value
    raise ConfigError(f"{where}: a number above 0 is expected, not {value!r}")


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `status` is None when nothing did, and `trouble` says why."""

    method: str
    target: str
    status: int | None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    text: str = ""
    trouble: str = ""

    @property
    def asked(self) -> str:
        """ "GET /products", the begin of a sentence: a very long target is cut."""
        return f"{self.method} {self.target if len(self.target) <= 100 else self.target[:97] + '...'}"

    @property
    def kind(self) -> str:
        """What a client goes by: "2xx", "4xx", "no answer"."""
        return "no answer" if self.status is None else f"{self.status // 100}xx"

    @property
    def shown(self) -> str:
        """The end of a sentence: "answers 404", "gives no answer (ReadTimeout)"."""
        return f"answers {self.status}" if self.status is not None else f"gives no answer ({self.trouble})"

    @property
    def media_type(self) -> str:
        """ "text/html" for "text/HTML; charset=utf-8"."""
        return self.header("content-type").partition(";")[0].strip().lower()

    def header(self, name: str) -> str:
        """Its value, empty where it is missing; several lines of it are joined by commas."""
        return str(self.headers.get(name, ""))

    def words(self, header: str) -> set[str]:
        """The comma-separated words of a header, in lower case."""
        return {word.strip().lower() for word in self.header(header).split(",") if word.strip()}


def ask(
    client: httpx.Client,
    target: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
) -> Answer:
    """One request, without following redirects and without cookies that an earlier answer set."""
    request = client.build_request(method, target, headers=dict(headers or {}), content=content)
    if "cookie" not in client.headers:
        request.headers.pop("cookie", None)
    try:
        response = client.send(request, follow_redirects=False)
        return Answer(method, target, response.status_code, response.headers, response.text)
    except (httpx.TransportError, httpx.DecodingError) as error:
        return Answer(method, target, None, trouble=f"{type(error).__name__}: {error}".removesuffix(": "))


@dataclass(frozen=True, slots=True)
class Pair:
    """The same question, asked on both sides."""

    old: Answer
    new: Answer

    @property
    def differs(self) -> str:
        """The sentence of a check that fails because of it."""
        return f"{self.new.asked}: the baseline {self.old.shown}, the candidate {self.new.shown}"


def ask_both(
    both: BothSides,
    target: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
) -> Pair:
    """The same request to both sides."""
    return Pair(
        ask(both.baseline, target, method, headers, content),
        ask(both.candidate, target, method, headers, content),
    )


def assert_as_before(pairs: Iterable[Pair]) -> None:
    """Each answer is of the kind that it was. Ends at the first that is not: a side that hangs takes long enough."""
    for pair in pairs:
        assert pair.new.kind == pair.old.kind, pair.differs


def good_pages(client: httpx.Client, options: Options) -> list[str]:
    """The pages that answer 2xx; the check is not run where there is none."""
    found = [page for page in options.pages if ask(client, page).kind == "2xx"]
    if not found:
        pytest.skip(
            f"none of {', '.join(options.pages)} answers 2xx: name pages in checks.options.http.paths"
        )
    return found


def page_pairs(both: BothSides, options: Options, headers: Mapping[str, str] | None = None) -> list[Pair]:
    """Each page, asked on both sides with these headers. A page that fails without them is for http/pages to tell."""
    pages = [page for page in good_pages(both.baseline, options) if ask(both.candidate, page).kind == "2xx"]
    if not pages:
        pytest.skip("no page answers 2xx on both sides: see http/pages")
    pairs = []
    for page in pages:
        pairs.append(ask_both(both, page, headers=headers))
        assert_as_before(pairs[-1:])
    return pairs


def toggled_slash(path: str) -> str:
    """The same path with a slash at its end, or without the one that it has."""
    bare, mark, query = path.partition("?")
    return f"{bare.removesuffix('/') if bare.endswith('/') else bare + '/'}{mark}{query}"


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port, with the port that the scheme implies."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or ""), port


TRACES = {
    "a Python traceback": re.compile(r"Traceback \(most recent call last\)"),
    "a Java stack trace": re.compile(r"\bat [\w$.<>]+\([\w$]+\.(?:java|kt|scala|groovy):\d+\)"),
    "a JavaScript stack trace": re.compile(r"\bat .{0,200}?(?:node:[\w/]+|/[^\s():]+\.[cm]?[jt]sx?):\d+:\d+"),
    "a .NET stack trace": re.compile(r"\bat [\w.<>`]+\(.{0,200}?\) in .{1,200}?:line \d+"),
    "a PHP stack trace": re.compile(r"#\d+ /[^\s(]+\.php\(\d+\)|in <b>/[^<]+\.php</b>"),
    "a Ruby stack trace": re.compile(r"\.rb:\d+:in [`']"),
    "a Go stack trace": re.compile(r"goroutine \d+ \[running\]"),
    "a Rust panic": re.compile(r"thread '[^']+' panicked at"),
    "a debugger's page": re.compile(r"Werkzeug Debugger|DEBUG = True</code>|Whoops, looks like something"),
}


def trace_in(text: str) -> str | None:
    """What of the program's inside a page shows, if anything."""
    return next((what for what, pattern in TRACES.items() if pattern.search(text)), None)
