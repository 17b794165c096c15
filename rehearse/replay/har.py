"""A HAR that a browser exported: each page is a journey, with the requests to its own host in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import SplitResult, urljoin, urlsplit

from rehearse.codec import CodecError, JsonData, parse_json
from rehearse.errors import ConfigError
from rehearse.replay.naming import route_name
from rehearse.replay.recording import SAFE_METHODS, Body, Journey, Recording, Step
from rehearse.replay.scrubbing import Scrubber

MAX_BYTES = 500_000_000
_PORTS = {"http": 80, "https": 443}
_AUTHORIZED = (
    "The recorded Authorization or Cookie is not in here. Where the target needs one, give it in the target's"
    " headers in rehearse.toml, or log in with on_start."
)


def read_har(content: bytes, source: str, host: str | None = None, side_effects: bool = False) -> Recording:
    """The recording. `host` chooses what is loaded where the first page's own host is not it. Raises ConfigError."""
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{source} has more than {MAX_BYTES // 1_000_000} MB; record fewer pages.")
    try:
        log = _table(_table(parse_json(content.removeprefix(b"\xef\xbb\xbf"))).get("log"))
    except CodecError as error:
        raise ConfigError(f"{source} is not a HAR: {error}") from None
    entries = [_table(entry) for entry in _list(log.get("entries"))]
    if not entries:
        raise ConfigError(f"{source} is not a HAR with requests in it: log.entries is missing or empty.")
    reader = _Reader(_origin_of(entries, host, source), side_effects)
    journeys = reader.journeys(log, entries)
    if not journeys:
        what = ", ".join(f"{count} × {reason}" for reason, count in reader.left_out.items())
        raise ConfigError(
            f"{source}: no request is left to replay ({what}). --host and --side-effects change that."
        )
    return Recording(
        source=f"{source} (HAR)",
        journeys=tuple(journeys),
        base_url=f"{reader.origin[0]}://{reader.origin[1]}",
        left_out=reader.left_out,
        scrubbed=reader.scrubber.counts,
        notes=(_AUTHORIZED,)
        if {"header authorization", "header cookie"} & set(reader.scrubber.counts)
        else (),
        arrivals_s=tuple(reader.arrivals_s()),
    )


Origin = tuple[str, str]  # scheme, "host:port" with the port only where it is not the usual one


@dataclass
class _Reader:
    """Reads entries one after the other, and accounts for those that are not taken."""

    origin: Origin
    side_effects: bool
    scrubber: Scrubber = field(default_factory=Scrubber)
    left_out: Counter[str] = field(default_factory=Counter)
    _began: list[datetime] = field(default_factory=list)  # of the journeys
    _redirects: set[str] = field(default_factory=set)  # where an earlier answer led: Locust follows by itself

    def journeys(self, log: Mapping[str, JsonData], entries: list[Mapping[str, JsonData]]) -> list[Journey]:
        """One for each page that anything is left of; pages that do the very same are one of more weight."""
        pages = [_table(page) for page in _list(log.get("pages"))]
        known_pages = {str(page.get("id")) for page in pages}
        by_page: dict[str, list[Step]] = {}
        began: dict[str, datetime | None] = {}
        for entry in sorted(entries, key=lambda one: str(one.get("startedDateTime"))):
            step = self._step(entry)
            page = str(entry.get("pageref")) if str(entry.get("pageref")) in known_pages else ""
            if step is not None:
                by_page.setdefault(page, []).append(step)
                began.setdefault(page, _instant(entry.get("startedDateTime")))
        self._began = [at for at in began.values() if at is not None]
        merged: dict[str, Journey] = {}
        for number, (page, steps) in enumerate(by_page.items(), 1):
            title = f"page {number} {steps[0].name}" if page else "without a page"
            known = merged.get(repr(steps))
            merged[repr(steps)] = Journey(
                known.title if known else title, tuple(steps), known.weight + 1 if known else 1
            )
        return list(merged.values())

    def arrivals_s(self) -> Iterator[float]:
        """When pages began; nothing for a single one."""
        ordered = sorted(self._began)
        if len(ordered) > 1:
            yield from ((at - ordered[0]).total_seconds() for at in ordered)

    def _step(self, entry: Mapping[str, JsonData]) -> Step | None:
        """What one entry asks for; None when it is left out, which is counted."""
        request, response = _table(entry.get("request")), _table(entry.get("response"))
        url, method = str(request.get("url", "")), str(request.get("method", "")).upper()
        reason = self._why_left_out(entry, url, method, response)
        if reason:
            self.left_out[reason] += 1
            return None
        body, reason = self._body(request)
        if reason:
            self.left_out[reason] += 1
            return None
        if redirect := str(response.get("redirectURL") or ""):
            self._redirects.add(urljoin(url, redirect))
        parts = urlsplit(url)
        if "@" in parts.netloc:
            self.scrubber.user_information()
        path = self.scrubber.path(parts._replace(scheme="", netloc="").geturl() or "/")
        return Step(method, route_name(path), {path: 1}, self._headers(request, body), body)

    def _why_left_out(
        self, entry: Mapping[str, JsonData], url: str, method: str, response: Mapping[str, JsonData]
    ) -> str:
        parts = _split(url)
        status = response.get("status")
        if parts is None or not method.isascii() or not method.isalpha():
            return "broken entries"
        if parts.scheme not in _PORTS:
            return f"{parts.scheme[:10] or 'other'}: URLs"
        if _origin(parts) != self.origin:
            return "requests to other hosts"
        if method not in SAFE_METHODS and not self.side_effects:
            return f"{method} (--side-effects keeps them)"
        if entry.get("_fromCache") or entry.get("_fromDiskCache"):
            return "answers from the browser's cache"
        if url in self._redirects:
            self._redirects.discard(url)
            return "redirects, which Locust follows by itself"
        if not isinstance(status, int) or status < 200:
            return "requests without an answer"
        return "requests that failed in the recording" if status >= 400 else ""

    def _body(self, request: Mapping[str, JsonData]) -> tuple[Body | None, str]:
        """The body, or why the request cannot be sent without it."""
        posted = _table(request.get("postData"))
        if not posted:
            return None, ""
        kind = str(posted.get("mimeType", ""))
        body = self.scrubber.body(str(posted.get("text", "")), kind)
        return body, "" if body is not None else f"bodies of {kind.partition(';')[0][:40] or 'no type'}"

    def _headers(self, request: Mapping[str, JsonData], body: Body | None) -> dict[str, str]:
        pairs = [_table(header) for header in _list(request.get("headers"))]
        kept = self.scrubber.headers({str(pair.get("name")): str(pair.get("value")) for pair in pairs})
        if body is not None and body.text is not None:
            kept["Content-Type"] = "application/x-www-form-urlencoded"
        return kept


def _origin_of(entries: list[Mapping[str, JsonData]], host: str | None, source: str) -> Origin:
    """Of the first request, or of the first one to `host`."""
    for entry in entries:
        parts = _split(str(_table(entry.get("request")).get("url", "")))
        if parts is not None and parts.scheme in _PORTS:
            origin = _origin(parts)
            if host is None or host.lower() in {origin[1], parts.hostname}:
                return origin
    what = "http or https" if host is None else repr(host)
    raise ConfigError(f"{source} has no request to {what}.")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _origin(parts: SplitResult) -> Origin:
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    usual = parts.port in (None, _PORTS.get(parts.scheme))
    return parts.scheme, shown if usual else f"{shown}:{parts.port}"


def _instant(text: JsonData) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _table(data: JsonData) -> Mapping[str, JsonData]:
    return data if isinstance(data, dict) else {}


def _list(data: JsonData) -> list[JsonData]:
    return data if isinstance(data, list) else []
