"""One request to the side under test, over the client that checks get: its credentials, and its guard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Annotated, Literal

import httpx
from pydantic import AfterValidator, Field, PlainValidator, model_validator

from rehearse.checks.tolerance import (
    Expectations,
    Expected,
    JsonPath,
    TextExpectations,
    Tolerance,
    document_complaints,
    is_secret_name,
    shown,
)
from rehearse.config.fields import Duration, HeaderName, Kind, Switch, Text, UrlPath, between
from rehearse.config.quantities import write_duration
from rehearse.config.section import Section

MAX_BODY_BYTES = 10_000_000
LIMIT_S = 10.0
_OF_A_HEADER = {"equals", "regex", "present", "absent"}


def _read_statuses(given: object) -> tuple[int, ...]:
    codes = given if isinstance(given, tuple) else (given,)
    if not codes or not all(type(code) is int and 100 <= code <= 599 for code in codes):
        raise ValueError("is not a status; write a number from 100 to 599, or a list of them")
    return codes


def _read_request_json(given: object) -> object:
    """TOML tables and lists, as they are sent."""
    if not isinstance(given, dict | tuple):
        raise ValueError("is not a table or a list")
    return given


def _of_headers(given: Mapping[str, Tolerance]) -> Mapping[str, Tolerance]:
    for name, tolerance in given.items():
        if other := tolerance.model_fields_set - _OF_A_HEADER:
            raise ValueError(
                f"says {min(other)!r} of {name}, but a header is a text: only {sorted(_OF_A_HEADER)} mean something"
            )
    return given


Statuses = Annotated[
    tuple[int, ...], Kind("status, or list of statuses", "200"), PlainValidator(_read_statuses)
]
RequestJson = Annotated[object, Kind("table or list", "{ id = 1 }"), PlainValidator(_read_request_json)]


class HttpExpectations(Expectations):
    """What the answer must be."""

    status: Statuses | None = Field(
        default=None,
        description="One of these. Left out: any below 400, so that an error page satisfies nothing.",
    )
    content_type: Text | None = Field(
        default=None, description="The media type; its parameters count only if there are some here."
    )
    headers: Annotated[Mapping[HeaderName, Expected], AfterValidator(_of_headers)] = Field(
        default={},
        description="Each a text that it must equal, or a table with `equals`, `regex`, `present` or `absent`.",
    )
    body: TextExpectations | None = Field(default=None, description="What is in the text of the body.")
    json_: Mapping[JsonPath, Expected] = Field(
        default={}, alias="json", description="JSON paths (RFC 9535), each with what must be there."
    )
    answered_within_s: (
        Annotated[Duration, between(0.001, 600, "an answer takes that long", write_duration)] | None
    ) = Field(default=None, description="Longest time from the request to the last byte of its answer.")


class HttpProbe(Section):
    """One request to the side under test, with the headers of its target."""

    method: Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] = Field(
        default="GET", description="Beyond `GET`, `HEAD` and `OPTIONS` only with `safety.side_effects`."
    )
    path: UrlPath = Field(description="Path on the target, with its query if there is one.")
    query: Mapping[str, Text] = Field(
        default={}, description="Parameters to encode, in place of a query in `path`."
    )
    headers: Mapping[HeaderName, Text] = Field(
        default={}, description="Further headers. Credentials stand in the target's table of rehearse.toml."
    )
    body: Text | None = Field(default=None, description="Body, as it is sent.")
    json_: RequestJson | None = Field(default=None, alias="json", description="Body, sent as JSON.")
    follow_redirects: Switch = Field(
        default=False, description="Ask where a redirect leads; each step must be on the allow-list."
    )
    timeout_s: Annotated[Duration, between(0.1, 600, "a check must end", write_duration)] | None = Field(
        default=None, description="When to give up. Left out: as for every check, before its own end."
    )
    expect: HttpExpectations = Field(description="What the answer must be.")

    @model_validator(mode="after")
    def _has_one_body(self) -> HttpProbe:
        if self.body is not None and self.json_ is not None:
            raise ValueError("has a `body` and a `json`; write one of the two")
        return self

    @property
    def what(self) -> str:
        """How sentences name it."""
        return f"{self.method} {self.path}"

    def complaints(self, client: httpx.Client) -> Iterator[str]:
        """Ask once, and say what is wrong with the answer. Raises TargetRefused for a redirect to elsewhere."""
        try:
            answer = self._ask(client)
        except (httpx.HTTPError, httpx.InvalidURL, _NoAnswer) as error:
            yield f"got no answer: {type(error).__name__.lstrip('_')}: {error}"
        else:
            yield from _answer_complaints(self.expect, *answer)

    def _ask(self, client: httpx.Client) -> tuple[httpx.Response, bytes, float]:
        began, limit_s = monotonic(), self.timeout_s or client.timeout.read or LIMIT_S
        with client.stream(
            self.method,
            self.path,
            params=dict(self.query) or None,
            headers=dict(self.headers),
            content=self.body,
            json=self.json_,
            follow_redirects=self.follow_redirects,
            timeout=limit_s,
        ) as response:
            body = b""
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _NoAnswer(f"its body is larger than {MAX_BODY_BYTES:,} bytes")
                if monotonic() - began > limit_s:  # the client's own limit is about each part alone
                    raise _NoAnswer(f"it was not complete after {limit_s:g} s")
        return response, body, monotonic() - began


class _NoAnswer(Exception):
    """An answer that cannot be taken in as a whole."""


def _answer_complaints(
    expect: HttpExpectations, response: httpx.Response, body: bytes, took_s: float
) -> Iterator[str]:
    yield from _status_complaints(expect.status, response.status_code)
    if expect.content_type is not None:
        yield from _content_type_complaints(expect.content_type, response.headers.get("content-type"))
    for name, tolerance in expect.headers.items():
        values = [response.headers[name]] if name in response.headers else []
        yield from (f"header {name}: {each}" for each in tolerance.complaints(values, is_secret_name(name)))
    if expect.body is not None:
        text = body.decode(response.encoding or "utf-8", errors="replace")
        yield from (f"body: {each}" for each in expect.body.complaints(text))
    if expect.json_:
        yield from _json_complaints(expect.json_, body)
    if expect.answered_within_s is not None and took_s > expect.answered_within_s:
        yield f"expected an answer within {expect.answered_within_s:g} s, took {took_s:.3g} s"


def _status_complaints(expected: tuple[int, ...] | None, found: int) -> Iterator[str]:
    is_met = found < 400 if expected is None else found in expected
    if not is_met:
        wanted = "below 400" if expected is None else " or ".join(map(str, expected))
        yield f"expected status {wanted}, found {found}"


def _content_type_complaints(expected: str, found: str | None) -> Iterator[str]:
    whole = "" if found is None else found.strip().lower()
    compared = whole if ";" in expected else whole.partition(";")[0].strip()
    if compared != expected.strip().lower():
        yield f"expected content type {shown(expected)}, found {'none' if found is None else shown(found)}"


def _json_complaints(expected: Mapping[str, Tolerance], body: bytes) -> Iterator[str]:
    try:
        document = read_json(body)
    except (ValueError, RecursionError) as error:
        yield f"expected JSON, found {len(body):,} bytes of something else ({type(error).__name__})"
    else:
        yield from document_complaints(expected, document)


def read_json(body: bytes) -> object:
    """The document; without NaN and Infinity, which JSON does not have. Raises ValueError and RecursionError."""
    return json.loads(body, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
