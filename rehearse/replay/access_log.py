"""An access log in the common or combined format: routes by how often they were asked for, and when."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

from rehearse.errors import ConfigError
from rehearse.replay.naming import route_name
from rehearse.replay.recording import MAX_ARRIVALS, SAFE_METHODS, Journey, Recording, Step
from rehearse.replay.scrubbing import Scrubber

MAX_LINES = 5_000_000
MAX_LINE = 16_384  # characters
MAX_ROUTES = 100
PATHS_OF_A_ROUTE = 40
_MAX_KNOWN = 20_000  # different routes, and different paths of one, that are counted at all

# host ident user [time] "request" status bytes, and whatever follows: referer and browser are not needed.
_LINE = re.compile(
    r"\S+ \S+ .*?\[(?P<at>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?:\d+|-)(?: .*)?'
)
_REQUEST = re.compile(r"(?P<method>[A-Z]+) (?P<path>\S+)(?: HTTP/\d(?:\.\d)?)?")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@dataclass(frozen=True, slots=True)
class LogLine:
    """One request of a log."""

    at: datetime
    method: str
    path: str
    status: int


def read_line(line: str) -> LogLine | None:
    """What a line says; None for one that is broken."""
    found = _LINE.fullmatch(line.rstrip("\r\n")) if len(line) <= MAX_LINE else None
    request = _REQUEST.fullmatch(found["request"]) if found else None
    at = _instant(found["at"]) if found else None
    if found is None or request is None or at is None or "\\" in request["path"]:  # \x16: not HTTP at all
        return None
    return LogLine(at, request["method"], request["path"], int(found["status"]))


def _instant(text: str) -> datetime | None:
    """`10/Oct/2026:13:55:36 -0700`, in any locale."""
    day, month, year, hour, minute, second = re.split(r"[/:]", text[:20])
    zone = timedelta(hours=int(text[22:24]), minutes=int(text[24:26]))
    try:
        return datetime(
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second),
            tzinfo=timezone(-zone if text[21] == "-" else zone),
        ).astimezone(UTC)  # fmt: skip
    except (ValueError, OverflowError):
        return None


def read_access_log(lines: Iterable[str], source: str, side_effects: bool = False) -> Recording:
    """The recording. Raises ConfigError when there is nothing in it to replay."""
    tally = _Tally(side_effects)
    for number, line in enumerate(lines):
        if number >= MAX_LINES:
            tally.notes.append(f"Only the first {MAX_LINES:,} lines were read.")
            break
        if line.strip():
            tally.add(line)
    journeys = tuple(tally.journeys())
    if not journeys:
        what = ", ".join(f"{count} × {reason}" for reason, count in tally.left_out.items()) or "it is empty"
        raise ConfigError(
            f"{source}: no request is left to replay ({what}). Common and combined format are read;"
            " --side-effects keeps methods that change something."
        )
    return Recording(
        source=f"{source} (access log)",
        journeys=journeys,
        left_out=tally.left_out,
        scrubbed=tally.scrubber.counts,
        notes=tuple(tally.notes),
        arrivals_s=tuple(tally.arrivals_s()),
    )


@dataclass
class _Tally:
    """Counts routes, their paths, and the requests of each second."""

    side_effects: bool
    scrubber: Scrubber = field(default_factory=Scrubber)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    _routes: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    _seconds: Counter[int] = field(default_factory=Counter)

    def add(self, text: str) -> None:
        """One line."""
        line = read_line(text)
        reason = self._why_left_out(line)
        if line is None or reason:
            self.left_out[reason] += 1
            return
        path = self.scrubber.path(line.path)
        route = (line.method, route_name(path))
        if route not in self._routes and len(self._routes) >= _MAX_KNOWN:
            self.left_out["requests to rare routes"] += 1
            return
        paths = self._routes.setdefault(route, Counter())
        known = path if path in paths or len(paths) < _MAX_KNOWN else next(iter(paths))
        paths[known] += 1
        self._seconds[int(line.at.timestamp())] += 1

    def _why_left_out(self, line: LogLine | None) -> str:
        if line is None:
            return "broken lines"
        if not line.path.startswith("/") or line.path.startswith("//"):
            return "requests for another host, or for no path"
        if line.method not in SAFE_METHODS and not self.side_effects:
            return f"{line.method[:10]} (--side-effects keeps them)"
        if line.method in {"CONNECT", "TRACE"}:
            return line.method
        return "requests that failed in the recording" if line.status >= 400 or line.status < 200 else ""

    def journeys(self) -> Iterator[Journey]:
        """One for each route, the most frequent first."""
        ordered = sorted(self._routes.items(), key=lambda item: (-item[1].total(), item[0]))
        for (method, name), paths in ordered[:MAX_ROUTES]:
            chosen = dict(sorted(paths.items(), key=lambda item: (-item[1], item[0]))[:PATHS_OF_A_ROUTE])
            yield Journey(f"{method} {name}", (Step(method, name, chosen),), paths.total())
        if rare := sum(paths.total() for _, paths in ordered[MAX_ROUTES:]):
            self.left_out["requests to rare routes"] += rare
        if any(len(paths) > PATHS_OF_A_ROUTE for paths in self._routes.values()):
            self.notes.append(f"Of each route its {PATHS_OF_A_ROUTE} most frequent paths are here.")
        if any(method not in SAFE_METHODS for method, _ in self._routes):
            self.notes.append("A log has no bodies: what was posted must be added by hand.")

    def arrivals_s(self) -> Iterator[float]:
        """A log knows the second; the requests of one second are spread over it evenly."""
        seconds: Mapping[int, int] = self._seconds
        if len(seconds) < 2:
            return
        first, left = min(seconds), MAX_ARRIVALS
        for second in sorted(seconds):
            count = min(seconds[second], left)
            yield from (second - first + place / seconds[second] for place in range(count))
            left -= count
        if left <= 0 and sum(seconds.values()) > MAX_ARRIVALS:
            self.notes.append(f"Only the first {MAX_ARRIVALS:,} arrival times are in the schedule.")
