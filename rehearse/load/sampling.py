"""Which answers are kept as samples, and how much of each. Runs in the worker; reads no body that nobody has read.

Of each (name, status) the first few, then one in each slice of the round, so that a late change is seen too. What a
request costs here is a look into a dictionary; what a sample costs is bounded by how often there may be one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter

from rehearse.load.orders import SamplingOrder
from rehearse.model import Sample, Side
from rehearse.redaction import Clean

FIRST = 5  # of each name and status, at once
MAX_KINDS = 500  # names with ids in them would grow without bound
PAUSE_S = 0.02  # between two samples of one worker, however many are due
BYTES_PER_S = 1_000_000

MATTERING = frozenset(
    "accept-ranges access-control-allow-credentials access-control-allow-headers access-control-allow-methods"
    " access-control-allow-origin access-control-expose-headers allow cache-control content-disposition"
    " content-encoding content-language content-security-policy content-type cross-origin-embedder-policy"
    " cross-origin-opener-policy cross-origin-resource-policy deprecation permissions-policy pragma referrer-policy"
    " strict-transport-security vary www-authenticate x-content-type-options x-frame-options".split()
)
ONLY_PRESENCE = frozenset(
    "etag expires last-modified link retry-after sunset".split()
)  # their values differ anyway
_SHOWN_OF_A_COOKIE = frozenset(("path", "domain", "samesite"))  # with their values
_LONGEST_HEADER = 400


class Sampler:
    """Decides for each answer whether it is kept, and offers it to `rehearse`, which may have no room for it."""

    def __init__(
        self,
        order: SamplingOrder,
        base_url: str,
        length_s: float,
        offer: Callable[[Mapping[str, object]], bool],
        clock: Callable[[], float] = perf_counter,
        clean: Clean = str,
    ) -> None:
        self._clean = clean
        self._order = order
        self._base_url = base_url
        self._slice_s = length_s / max(1, order.samples - FIRST)
        self._offer = offer
        self._clock = clock
        self._due: dict[tuple[str, int], float] = {}
        self._taken: dict[tuple[str, int], int] = {}
        self._free_at = 0.0
        self.sent = 0
        self.left_out = 0
        self.failed = 0

    def see(self, name: str, response: object) -> None:
        """One answer. In the way of every request: nothing is done here but to ask whether one is due."""
        now = self._clock()
        if now < self._free_at:
            return
        try:
            kind = (name, getattr(response, "status_code", 0))
            if now >= self._due.get(kind, 0.0):
                self._take(kind, response, now)
        except Exception:  # noqa: BLE001  # an odd answer must not become a failed request; it is counted
            self.failed += 1

    def _take(self, kind: tuple[str, int], response: object, now: float) -> None:
        body = read_body(response)
        if not kind[1] or body is None:
            return
        if kind not in self._taken and len(self._taken) >= MAX_KINDS:
            self.left_out += 1
            return
        taken = self._taken[kind] = self._taken.get(kind, 0) + 1
        self._due[kind] = now if taken < FIRST else now + self._slice_s
        kept = body[: self._order.max_body_bytes]
        self._free_at = now + max(PAUSE_S, len(kept) / BYTES_PER_S)
        message = {
            "name": kind[0],
            "target": _target_of(response, self._base_url),
            "status": kind[1],
            "headers": headers_that_matter(response, self._clean),
            "body": base64.b64encode(kept).decode("ascii"),
            "whole": len(kept) == len(body),
        }
        if self._offer(message):
            self.sent += 1
        else:
            self.left_out += 1


def sample_of(side: Side, message: Mapping[str, object]) -> Sample:
    """A sample as it came from a worker of `side`."""
    headers: Mapping[str, str] = message["headers"]  # type: ignore[assignment]  # our own worker's shape
    return Sample(
        side=side,
        endpoint=str(message["name"]),
        target=str(message["target"]),
        status=int(str(message["status"])),
        headers=headers,
        body=base64.b64decode(str(message["body"])),
        is_whole=bool(message["whole"]),
    )


def read_body(response: object) -> bytes | None:
    """The body, if somebody has read it whole; a stream is left alone."""
    fields = getattr(response, "__dict__", {})
    if "_cached_content" in fields or hasattr(type(response), "_cached_content"):  # FastHttpUser
        body = getattr(response, "_cached_content", None)
    elif "_content" in fields:  # HttpUser: False until it is read
        body = fields["_content"]
    else:  # LeanHttpUser has no streams
        body = fields.get("content")
    return body if isinstance(body, bytes) else None


def _target_of(response: object, base_url: str) -> str:
    """Path and query of what was asked for first, on the target itself; empty for any other host."""
    history = getattr(response, "history", None)
    asked = getattr((history or [response])[0], "request", None)
    url = str(getattr(asked, "url", "") or "")
    rest = url.removeprefix(base_url)
    return rest if rest != url and rest[:1] in ("/", "?") else ""


# --- headers ------------------------------------------------------------------------------------------------------


def headers_that_matter(response: object, clean: Clean = str) -> dict[str, str]:
    """Those that clients rely on, without what may be secret: of a cookie only its name and attributes."""
    kept: dict[str, str] = {}
    for name, value in _lines(response):
        name, value = name.lower(), clean(value)  # before it is cut
        if name == "set-cookie":
            kept.update([_cookie(value)])
        elif name in ONLY_PRESENCE:
            kept[name] = "present"
        elif name == "location":
            kept[name] = re.sub(r"[0-9a-fA-F-]*\d[0-9a-fA-F-]*", "#", value.partition("?")[0])[
                :_LONGEST_HEADER
            ]
        elif name in MATTERING:
            both = f"{kept[name]}, {value}" if name in kept else value
            kept[name] = " ".join(both.split())[:_LONGEST_HEADER]
    return kept


def _lines(response: object) -> Iterable[tuple[str, str]]:
    """Every header line. `requests` joins cookies into one line, but for its raw headers below."""
    headers = getattr(getattr(response, "raw", None), "headers", None) or getattr(response, "headers", None)
    for name, value in headers.items() if headers else ():
        for one in value if isinstance(value, list) else [value]:
            yield str(name), str(one)


def _cookie(line: str) -> tuple[str, str]:
    pair, *attributes = (part.strip() for part in line.split(";"))
    shown = []
    for attribute in attributes:
        name, _, value = attribute.partition("=")
        shown.append(f"{name}={value}" if name.lower() in _SHOWN_OF_A_COOKIE else name)
    return f"set-cookie {pair.partition('=')[0]}"[:80], "; ".join(sorted(shown, key=str.lower))[
        :_LONGEST_HEADER
    ]
