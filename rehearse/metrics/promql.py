"""Asks a Prometheus for one series over a window: at most a point each step, and only points that mean something.

HTTP API: prometheus.io/docs/prometheus/latest/querying/api. What is empty, ambiguous, NaN, partial or not there is
named, and never a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import time
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, FiniteFloat, ValidationError

from rehearse.allowlist import AllowList, host_and_port, system_resolve
from rehearse.errors import ConfigError, NotReady
from rehearse.redaction import cut

MOST_BYTES = 4_000_000
_LONGEST_WORDS = 200


@dataclass(frozen=True, slots=True)
class Window:
    """When a question is about, in seconds of the clock of Prometheus."""

    begin_s: float
    length_s: float
    step_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """The points of one series, as (seconds since the window began, value); or why there are none."""

    points: tuple[tuple[float, float], ...] = ()
    trouble: str = ""


class _Row(BaseModel):
    values: list[tuple[FiniteFloat, str]]


class _Matrix(BaseModel):
    result: list[_Row]


class _Answer(BaseModel):
    status: str
    data: object = None
    error: str = ""
    warnings: list[str] = []


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One server that speaks the HTTP API; only hosts of the allow-list are asked."""

    url: str
    headers: Mapping[str, str]
    allow_list: AllowList
    timeout_s: float = 10.0
    transport: httpx.BaseTransport | None = field(default=None, repr=False)

    def check_allowed(self) -> None:
        """Raise TargetRefused unless it is on the allow-list, by name and after DNS."""
        self.allow_list.check_url(self.url)
        host, port = host_and_port(self.url)
        for address in system_resolve(host):
            self.allow_list.check_address(address, port)

    def check(self, query: str) -> None:
        """Raise ConfigError when it does not understand a query, and NotReady when it does not answer."""
        self._ask("query", {"query": query})

    def clock_ahead_s(self) -> float:
        """How far its clock is ahead of ours; half of the way there and back is taken off. Raises NotReady."""
        began_s = time()
        answer = self._ask("query", {"query": "time()"})
        try:
            its_own_s = float(answer.data["result"][1])  # type: ignore[index]
        except (TypeError, KeyError, IndexError, ValueError):
            its_own_s = math.nan
        if not math.isfinite(its_own_s):
            raise NotReady(f"{self._label} does not tell its time.")
        return its_own_s - (began_s + time()) / 2

    def series(self, query: str, window: Window) -> Found:
        """The points of `query`; never raises for what Prometheus says or fails to say."""
        try:
            values = self._range(query, window)
            seen_at = self._range(f"timestamp({query})", window, is_optional=True)
        except (NotReady, ConfigError) as error:
            return Found(trouble=str(error))
        if isinstance(values, str):
            return Found(trouble=values)
        if not all(math.isfinite(value) for value in values.values()):
            return Found(trouble="some of its values are not numbers (NaN or infinite)")
        fresh = values if isinstance(seen_at, str) else _once_each(values, seen_at)
        points = ((round(at - window.begin_s, 3), value) for at, value in fresh.items())
        return Found(tuple((max(at, 0.0), value) for at, value in points))

    def _range(self, query: str, window: Window, *, is_optional: bool = False) -> dict[float, float] | str:
        steps = math.floor(window.length_s / window.step_s + 1e-9)
        asked = {
            "query": query,
            "start": f"{window.begin_s:.3f}",
            "end": f"{window.begin_s + steps * window.step_s:.3f}",
            "step": f"{window.step_s:g}",
        }
        try:
            answer = self._ask("query_range", asked)
            rows = _Matrix.model_validate(answer.data).result
        except ConfigError as error:
            if is_optional:  # a query whose values have no moments of their own
                return str(error)
            raise
        except ValidationError:
            return f"{self._label} does not answer with a range of values"
        if answer.warnings:
            return f"{self._label} warns: {cut(answer.warnings[0], _LONGEST_WORDS)}"
        if len(rows) != 1:
            advice = "is the target scraped?" if not rows else "aggregate them, or select one by its labels"
            return f"the query found {len(rows) or 'no'} series; {advice}"
        try:
            return {at: float(value) for at, value in rows[0].values}
        except ValueError:
            raise NotReady(f"{self._label} answers with a value that is not a number") from None

    def _ask(self, what: str, parameters: Mapping[str, str]) -> _Answer:
        try:
            with self._client() as client:
                said = client.get(f"{self.url}/api/v1/{what}", params=dict(parameters))
        except httpx.HTTPError as error:
            raise NotReady(f"{self._label} does not answer: {str(error) or type(error).__name__}") from error
        if len(said.content) > MOST_BYTES:
            raise NotReady(f"{self._label} answers with more than {MOST_BYTES:,} bytes")
        try:
            answer = _Answer.model_validate_json(said.content)
        except ValidationError:
            raise NotReady(
                f"{self._label} does not answer as Prometheus does (status {said.status_code})"
            ) from None
        words = cut(answer.error, _LONGEST_WORDS)
        if said.status_code in (400, 422):
            raise ConfigError(f"{self._label} refuses {cut(parameters['query'], _LONGEST_WORDS)!r}: {words}")
        if said.status_code != httpx.codes.OK or answer.status != "success":
            raise NotReady(f"{self._label} fails with status {said.status_code}: {words}")
        return answer

    def _client(self) -> httpx.Client:
        return httpx.Client(
            headers=dict(self.headers),
            timeout=self.timeout_s,
            trust_env=False,  # no proxy from the environment: it could lead elsewhere
            follow_redirects=False,
            event_hooks={"request": [lambda request: self.allow_list.check_url(str(request.url))]},
            transport=self.transport,
        )

    @property
    def _label(self) -> str:
        parts = urlsplit(self.url)
        return f"Prometheus at {parts.hostname}:{host_and_port(self.url)[1]}"


def _once_each(values: Mapping[float, float], seen_at: Mapping[float, float]) -> dict[float, float]:
    """Without repetitions of a sample: for up to five minutes an old one stands in for those that did not come."""
    kept: dict[float, float] = {}
    known: set[float] = set()
    for at, value in values.items():
        moment = seen_at.get(at)
        if moment is None or moment not in known:
            kept[at] = value
        if moment is not None:
            known.add(moment)
    return kept
