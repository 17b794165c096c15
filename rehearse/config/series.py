"""Server-side series: what Prometheus is asked of each side, and what is accepted of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from rehearse.config.fields import Duration, Header, HeaderName, Kind, Name, Number, Rule, Text, Url, between
from rehearse.config.quantities import write_duration
from rehearse.config.section import Section
from rehearse.model import Objective, Side

PLACE_OF_SIDE = "$side"
LONGEST_UNIT = 12


def _read_unit(given: str) -> str:
    if given in ("ratio", "s", "1/s"):
        raise ValueError(
            f"is a word that rehearse itself uses; leave it out, or write 'seconds' for {given!r}"
        )
    if len(given) > LONGEST_UNIT:
        raise ValueError(f"is longer than {LONGEST_UNIT} letters")
    return given


Unit = Annotated[str, Kind("text", "'bytes'"), AfterValidator(_read_unit)]


class SidesInQueries(Section):
    """What `$side` stands for in queries."""

    baseline: Text = Field(default='side="baseline"', description="In those about the baseline.")
    candidate: Text = Field(default='side="candidate"', description="In those about the candidate.")


class PrometheusSettings(Section):
    """Where server-side series come from. Its host must be listed in `safety.allow`; load never reaches it."""

    url: Url | None = Field(
        default=None, description="Address of a Prometheus, or of what speaks its HTTP API.", repr=False
    )
    headers: Mapping[HeaderName, Header] = Field(
        default={}, description="Headers of every question, such as credentials. Never shown anywhere."
    )
    step_s: Annotated[Duration, between(0.5, 300, "it is the distance of two points", write_duration)] = (
        Field(default=5.0, description="Distance of the points: the scrape interval, or more.")
    )
    timeout_s: Annotated[Duration, between(0.1, 60, "a rehearsal waits for it", write_duration)] = Field(
        default=10.0, description="How long one question may take."
    )
    sides: SidesInQueries = Field(default=SidesInQueries(), description="What `$side` stands for.")


class SeriesSettings(Section):
    """One number that servers tell of themselves. It is recorded on both sides, and judged as a cell."""

    name: Name = Field(description="What reports call it.")
    query: Text = Field(
        default="",
        description="PromQL that gives one series; `$side` in it is replaced by what `prometheus.sides` says.",
    )
    baseline: Text = Field(default="", description="PromQL of the baseline, where `query` does not do.")
    candidate: Text = Field(default="", description="PromQL of the candidate, where `query` does not do.")
    unit: Unit = Field(default="", description="Of its values: `bytes`, `cores`, `connections`.")
    level: Rule | None = Field(
        default=None,
        description="Its mean: a margin against the baseline (`<=+10%`), a limit of its own (`<512MB`, `<80`).",
    )
    growth: Rule | None = Field(
        default=None,
        description="How much more it rises in a minute than the baseline's, as a part of the baseline's level:"
        " `<=+5%/min`. That is how leaks are found.",
    )
    floor: Annotated[Number, between(0, 1e18, "it hides every smaller change")] = Field(
        default=0.0, description="A change of the level below this, in its own unit, is never a worsening."
    )

    @property
    def rules(self) -> tuple[Objective, ...]:
        """What is asked of it."""
        return tuple(rule for rule in (self.level, self.growth) if rule is not None)

    @property
    def queries(self) -> tuple[str, str]:
        """Of the baseline and of the candidate, before `$side` is replaced."""
        return self.baseline or self.query, self.candidate or self.query

    def query_of(self, side: Side, sides: SidesInQueries) -> str:
        """What Prometheus is asked about one side."""
        query = self.queries[tuple(Side).index(side)]
        return query.replace(PLACE_OF_SIDE, sides.baseline if side is Side.BASELINE else sides.candidate)
