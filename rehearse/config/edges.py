"""Edge cases: conditions that are injected on purpose, under load, on both sides (docs/edges.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, SecretStr

from rehearse.config.fields import (
    Duration,
    ExistingFile,
    HeaderName,
    Kind,
    Name,
    Number,
    Percent,
    Switch,
    Text,
    UrlPath,
    Whole,
    Word,
    between,
)
from rehearse.config.quantities import write_duration, write_percent
from rehearse.config.section import Section
from rehearse.model import Side
from rehearse.redaction import HIDDEN

TARGET = "target"  # where a fault stands when it stands between the load and the target
MOST_S = 600.0


def _read_address(given: object) -> str:
    host, separator, port = given.rpartition(":") if isinstance(given, str) else ("", "", "")
    if not separator or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("is not an address; write it like '127.0.0.1:5432'")
    return f"{host}:{port}"


def _read_attributes(given: object) -> dict[str, int]:
    if not isinstance(given, Mapping) or not all(type(value) is int for value in given.values()):
        raise ValueError("is not a table of whole numbers; write it like { latency = 1000, jitter = 50 }")
    return dict(given)


def _read_instant(given: object) -> str:
    try:
        found = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError("is no instant; write it with its offset, like 2028-02-29T00:00:00Z")
    return found.isoformat().replace("+00:00", "Z")


def _is_not_empty(items: tuple[str, ...]) -> tuple[str, ...]:
    if not items:
        raise ValueError("is empty: nothing would be asked")
    return items


Paths = Annotated[
    tuple[UrlPath, ...],
    Kind("list of paths on the target", "['/report']", from_text="as TOML"),
    AfterValidator(_is_not_empty),
]
Instant = Annotated[
    str, Kind("instant", "2028-02-29T00:00:00Z", from_text="either"), BeforeValidator(_read_instant)
]
Address = Annotated[str, Kind("address", "'127.0.0.1:5432'"), BeforeValidator(_read_address)]
Attributes = Annotated[
    Mapping[str, int],
    Kind("whole number", "{ latency = 1000 }", from_text="as TOML"),
    PlainValidator(_read_attributes),
]
Body = Annotated[
    SecretStr,
    Kind("text", '\'{"user": "x", "password": "${PASSWORD}"}\'', is_secret=True),
    PlainSerializer(lambda _: HIDDEN),
]
KeyHeader = Annotated[HeaderName, Kind("name of a header", "'Idempotency-Key'")]
Lasting = Annotated[Duration, between(0.1, MOST_S, "somebody waits for the verdict", write_duration)]


class EdgeLogin(Section):
    """A POST that tells a token for the requests of retry and date cases, on each side."""

    path: UrlPath = Field(description="Where it is sent.")
    body: Body = Field(description="JSON. Never shown anywhere.")
    token: Name = Field(
        default="token", description="Where the token stands in the answer's JSON: `data.token`."
    )


class ProxyAddress(Section):
    """Where a side's fault proxy listens, and what it leads to."""

    listen: Address = Field(description="On loopback; the target is told to connect here.")
    upstream: Address = Field(description="The dependency itself. It must be on `safety.allow`.")


class Dependency(Section):
    """Something that the targets depend on and reach through a fault proxy, for the whole run."""

    baseline: ProxyAddress | None = Field(default=None, description="Of the baseline.")
    candidate: ProxyAddress | None = Field(default=None, description="Of the candidate.")

    def of(self, side: Side) -> ProxyAddress | None:
        """A side's own; in place it is the same for both."""
        own = (self.baseline, self.candidate) if side is Side.BASELINE else (self.candidate, self.baseline)
        return own[0] or own[1]


class EdgeCase(Section):
    """What all cases have in common."""

    id: Word = Field(description="Unique; findings and waivers name it: `edge: ID`.")
    why: Name = Field(description="What happened once, or could.")
    ref: Text = Field(default="", description="The incident.")
    required: Switch = Field(
        default=True, description="Without it no verdict can be GO; and when it fails, the verdict is ABORT."
    )


class FaultCase(EdgeCase):
    """A fault for a moment, while load runs: what users get meanwhile, and whether all is well afterwards."""

    family: Literal["timeout", "recovery"] = Field(
        default="timeout",
        description="`timeout`: it may not fail more, or answer later, than the baseline in the fault, and must"
        " recover. `recovery`: it must recover.",
    )
    on: Name = Field(
        default=TARGET,
        description="Where the fault stands: `target` (between load and target), or the name of a dependency.",
    )
    toxic: Literal[
        "latency",
        "bandwidth",
        "slow_close",
        "timeout",
        "reset_peer",
        "slicer",
        "limit_data",
        "down",
        "refuse",
        "accept_then_hang",
    ] = Field(description="What is done to connections, by Toxiproxy's names.")
    attributes: Attributes = Field(default={}, description="Of the toxic, in Toxiproxy's units.")
    stream: Literal["upstream", "downstream"] = Field(
        default="downstream", description="To the server, or to the client."
    )
    toxicity: Annotated[Percent, between(0.01, 1, "it is of all connections", write_percent)] = Field(
        default=1.0, description="Share of the connections that are hit."
    )
    lasts_s: Lasting = Field(default=2.0, description="How long the fault is there.")
    recover_within_s: Lasting = Field(default=10.0, description="How long it may take to be back to normal.")
    slack_s: Lasting = Field(
        default=0.25, description="Later than normal, or than the baseline, by so much is still as good."
    )
    scenario: ExistingFile | None = Field(
        default=None, description="Another Locust file for this case, such as one whose clients retry."
    )


class ClientCase(EdgeCase):
    """Slow or impatient clients for a moment, while ordinary load runs: it may not suffer more than on the baseline."""

    manner: Literal["slow-header", "slow-body", "slow-reading", "give-up"] = Field(
        description="Send a head, or the body of a POST, a byte at a time; take the answer a byte at a time; or ask and"
        " go away before the answer."
    )
    path: UrlPath = Field(description="What they ask for.")
    connections: Annotated[Whole, between(1, 200, "each is a connection that is held open")] = Field(
        default=20, description="How many at once."
    )
    patience_s: Annotated[Duration, between(0.001, 60, "longer is no impatience", write_duration)] = Field(
        default=0.02, description="How long `give-up` waits for an answer."
    )
    lasts_s: Lasting = Field(default=3.0, description="How long they are there.")
    recover_within_s: Lasting = Field(default=10.0, description="How long it may take to be back to normal.")
    slack_s: Lasting = Field(
        default=0.25, description="Later than normal, or than the baseline, by so much is still as good."
    )


class EffectCount(Section):
    """How effects are counted on each side: a number in the JSON of an endpoint, or a query."""

    path: UrlPath | None = Field(default=None, description="Answers JSON; `{key}` in it is the order's key.")
    value: Name = Field(default="count", description="Where the number stands in that JSON: `orders.count`.")
    sql: Name | None = Field(default=None, description="Returns one number; `:key` in it is the order's key.")
    baseline: Body | None = Field(default=None, description="For `sql`: the URL of the baseline's database.")
    candidate: Body | None = Field(
        default=None, description="For `sql`: the URL of the candidate's database."
    )

    def database_of(self, side: Side) -> SecretStr | None:
        """A side's own; in place it is the same for both."""
        own = (self.baseline, self.candidate) if side is Side.BASELINE else (self.candidate, self.baseline)
        return own[0] or own[1]


class RetryCaseSettings(EdgeCase):
    """One order that is sent again, and how often it then took effect."""

    send: Literal["lost-response", "concurrent", "other-payload", "no-key"] = Field(
        default="lost-response",
        description="The answer is lost and it is sent again; two at once; another order under the same key; or as the"
        " first, without a key.",
    )
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = Field(default="POST", description="Of the order.")
    path: UrlPath = Field(description="Of the order.")
    body: Name = Field(description="Of the order, JSON.")
    other_body: Text = Field(default="", description="Another order, for `other-payload`.")
    key_header: KeyHeader = Field(default="Idempotency-Key", description="The header that holds its key.")
    count: EffectCount = Field(description="How effects are counted.")


class RateLimitCase(EdgeCase):
    """Requests in a row until one is refused with 429 or 503; then a wait as `Retry-After` says, and one more."""

    path: UrlPath = Field(description="What is asked for, with GET.")
    requests: Annotated[Whole, between(1, 2_000, "each is sent to both sides")] = Field(
        default=100, description="So many at most; the baseline must refuse one of them."
    )
    longest_wait_s: Annotated[Duration, between(0.1, 40, "a case has a minute", write_duration)] = Field(
        default=20.0, description="A wait that is asked for is kept up to this."
    )


class DateCase(EdgeCase):
    """A request that is asked with every boundary instant, on both sides."""

    method: Literal["GET", "HEAD", "POST", "PUT"] = Field(default="GET", description="Of the request.")
    path: UrlPath = Field(
        description="`{instant}` in it, or in the body, is the instant: `/report?day={instant}`."
    )
    body: Text = Field(default="", description="JSON, for POST and PUT.")
    formats: tuple[
        Literal["date", "naive", "offset", "zulu", "rfc 3339", "http", "epoch s", "epoch ms"], ...
    ] = Field(default=("date",), description="How instants are written.")


class OwnClock(Section):
    """Where a target tells the time by its own clock, when its answers have no `Date`, or have a proxy's."""

    path: UrlPath = Field(description="Answers JSON.")
    value: Name = Field(
        default="now",
        description="Where the time stands in it: ISO 8601 with its offset, or seconds since 1970.",
    )


class ClockCase(EdgeCase):
    """The targets are started with another time of day, which passes a boundary under load (needs libfaketime)."""

    across: Instant = Field(
        description="The boundary: the first instant of the new day, or whatever begins then."
    )
    paths: Paths = Field(description="What is asked with GET again and again, before and after it.")
    lead_s: Annotated[Duration, between(1, MOST_S, "somebody waits for the verdict", write_duration)] = Field(
        default=20.0,
        description="How long before it the targets are started: they, and the load, must be under way by then.",
    )
    lasts_s: Annotated[
        Duration, between(3, MOST_S, "it takes two answers to see anything", write_duration)
    ] = Field(default=6.0, description="How long the load goes on after it.")
    monotonic: Literal["kept", "shifted"] = Field(
        default="kept",
        description="Whether intervals (CLOCK_MONOTONIC) are left alone. libfaketime 0.9.10 gets both wrong for some:"
        " `kept` for `time.sleep` of Python, `shifted` for waits with a timeout.",
    )
    clock: OwnClock | None = Field(
        default=None, description="Where a target tells the time. Left out: the `Date` of its answers."
    )


class Edges(Section):
    """Edge cases run after the load, each under load of its own."""

    rate: Annotated[Number, between(0.01, 50_000, "one host cannot do more on schedule")] | None = Field(
        default=None, description="Arrivals per second and side while a case runs. Left out: `load.rate`."
    )
    login: EdgeLogin | None = Field(default=None, description="A token for retry and date cases.")
    dependencies: Mapping[str, Dependency] = Field(
        default={}, description="What the targets reach through a fault proxy, by name."
    )
    faults: tuple[FaultCase, ...] = Field(default=(), description="Faults under load.")
    clients: tuple[ClientCase, ...] = Field(default=(), description="Slow and impatient clients.")
    retries: tuple[RetryCaseSettings, ...] = Field(default=(), description="Orders that are sent again.")
    rate_limits: tuple[RateLimitCase, ...] = Field(
        default=(), description="Limits that tell who exceeds them to wait."
    )
    dates: tuple[DateCase, ...] = Field(default=(), description="Date boundaries as inputs.")
    clocks: tuple[ClockCase, ...] = Field(
        default=(), description="Date boundaries that the targets live through."
    )

    @property
    def cases(self) -> tuple[EdgeCase, ...]:
        """All of them, quick ones first."""
        return (
            *self.dates,
            *self.retries,
            *self.rate_limits,
            *self.clients,
            *self.faults,
            *self.clocks,
        )
