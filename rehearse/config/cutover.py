"""How the exit plan is rehearsed: there and back in one environment, under light load (docs/cutover.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from rehearse.config.edges import Body, KeyHeader
from rehearse.config.fields import (
    Argv,
    Duration,
    Header,
    HeaderName,
    Name,
    Number,
    Switch,
    Text,
    UrlPath,
    Word,
    between,
)
from rehearse.config.quantities import write_duration
from rehearse.config.section import Section
from rehearse.config.targets import Target

DAY_S = 86_400.0
PLACE = "cutover"  # how its own environment is called


def _in_one_place(given: object) -> object:
    """The environment that is upgraded where it stands."""
    return {"role": "in-place", **given, "<name>": PLACE} if isinstance(given, Mapping) else given


Outage = Annotated[Duration, between(0, DAY_S, "it is a time", write_duration)]
Within = Annotated[Duration, between(0.1, DAY_S, "somebody waits for it", write_duration)]
Stretch = Annotated[Duration, between(0.1, 3600, "load goes on for so long", write_duration)]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class ProbeSettings(Section):
    """A request that is sent every `cutover.every`, over fresh and over kept connections: `[[cutover.probes]]`."""

    name: Word = Field(description="How findings call it.")
    path: UrlPath = Field(
        description="What is asked; `{n}` in it, or in the body, is another number each time."
    )
    method: Method = Field(default="GET", description="Of the request.")
    body: Body | None = Field(default=None, description="Of the request. Never shown anywhere.")
    headers: Mapping[HeaderName, Header] = Field(
        default={}, description="Besides those of the target. Never shown anywhere."
    )
    write: Switch = Field(default=False, description="It writes; needs `safety.side_effects`.")


class RowWrite(Section):
    """How one row is written: a request, or a statement for `cutover.database`."""

    path: UrlPath | None = Field(
        default=None, description="`{row}` in it, or in the body, is the row's own number."
    )
    method: Literal["POST", "PUT", "PATCH"] = Field(default="POST", description="Of the request.")
    body: Text = Field(default="", description="JSON.")
    key_header: KeyHeader | None = Field(
        default=None, description="A header that gets the row's number, such as `Idempotency-Key`."
    )
    sql: Text = Field(default="", description="`:row` in it is the row's own number.")


class RowRead(Section):
    """How a row is looked for."""

    path: UrlPath | None = Field(
        default=None,
        description="Answers with `{row}` in its body while the row is there. With `value` it counts instead.",
    )
    value: Text = Field(
        default="", description="Where a number of rows stands in the JSON of `path`: it may not fall behind."
    )
    sql: Text = Field(default="", description="Returns a row while that of `:row` is there, otherwise none.")


class Survival(Section):
    """Rows that are written before and during the upgrade, and that must be there after it and after its undo."""

    write: RowWrite = Field(description="How they are written.")
    read: RowRead = Field(description="How they are looked for.")
    every_s: Annotated[Duration, between(0.05, 60, "they are few", write_duration)] = Field(
        default=1.0,
        description="How often one is written; at most 250 are before the first step, and 250 since.",
    )


class Question(Section):
    """What must have the same answer before, and after the undo: `[[cutover.same]]`. One of the last three asks."""

    name: Name = Field(description="What it is: `the schema`.")
    run: Argv | None = Field(default=None, description="A command; what it prints is the answer.", repr=False)
    path: UrlPath | None = Field(
        default=None, description="A path on the target; status and body are the answer."
    )
    sql: Text = Field(default="", description="A query for `cutover.database`; its rows are the answer.")
    ignore: Text = Field(
        default="", description="Lines that this regular expression is found in do not count."
    )


class ByHand(Section):
    """Commands for a step that the exit plan has in words."""

    run: Argv | None = Field(
        default=None, description="Where its `run` is in words, or left out.", repr=False
    )
    undo: Argv | None = Field(default=None, description="Where its `undo` is in words.", repr=False)


class CutoverSettings(Section):
    """How the exit plan is rehearsed with `rehearse cutover`, in one environment (docs/cutover.md)."""

    target: Annotated[Target, BeforeValidator(_in_one_place)] | None = Field(
        default=None, description="The environment that is upgraded and put back. Left out: the one in place."
    )
    rate: Annotated[Number, between(0.1, 50_000, "one host cannot do more on schedule")] | None = Field(
        default=None, description="Arrivals per second, all the time. Left out: `load.rate`, 20 at most."
    )
    settle_s: Stretch = Field(default=3.0, description="Before each measured phase: caches and pools fill.")
    budget_s: Stretch = Field(
        default=15.0, description="Measured load before, on the candidate, after the undo, on the repair."
    )
    window_s: Stretch = Field(
        default=5.0,
        description="How long the state after a step is held that has a `window` in the exit plan.",
    )
    longest_outage_s: Outage = Field(
        default=0.0,
        description="The longest outage that is accepted, of any probe. `0s` claims that there is none.",
    )
    total_outage_s: Outage | None = Field(
        default=None, description="All outages of a probe together. Left out: as `longest_outage`."
    )
    undo_within_s: Within | None = Field(
        default=None, description="How long the way back may take. Left out: what the decision point leaves."
    )
    forward_within_s: Within | None = Field(
        default=None, description="How long the way forward may take, with `--forward`. Left out: the same."
    )
    every_s: Annotated[Duration, between(0.05, 10, "outages are short", write_duration)] = Field(
        default=0.1, description="How often each probe is sent."
    )
    timeout_s: Annotated[Duration, between(0.05, 60, "a user waits no longer", write_duration)] = Field(
        default=1.0, description="A probe that is not answered for so long has failed."
    )
    probes: tuple[ProbeSettings, ...] = Field(
        default=(), description="What is asked all the time. Left out: the target's `ready`."
    )
    version_header: Text = Field(default="", description="The header in which answers name their version.")
    version_key: Text = Field(
        default="", description="Or where it stands in their JSON: `app.version`. At most one of both."
    )
    watch_s: Annotated[Duration, between(1, 600, "shorter is chance", write_duration)] = Field(
        default=5.0, description="An abort criterion is watched over the last so many seconds."
    )
    database: Body | None = Field(
        default=None,
        description="The URL of the database for `sql`, whose schema the undo must bring back. It must be on"
        " `safety.allow`. Never shown.",
    )
    survival: Survival | None = Field(
        default=None, description="Rows that must survive. Left out: not probed."
    )
    same: tuple[Question, ...] = Field(
        default=(), description="What the undo must bring back besides `facts` and the schema."
    )
    by_hand: Mapping[str, ByHand] = Field(
        default={}, description="Commands for steps that are in words, by the step's name."
    )
