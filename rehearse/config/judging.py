"""What worsening is accepted, and how evidence becomes a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from rehearse.config.fields import Duration, Number, Percent, Rule, Whole, Words, between
from rehearse.config.quantities import write_duration, write_percent
from rehearse.config.section import Section
from rehearse.model import Metric, Objective


class EndpointObjectives(Section):
    """Objectives of one endpoint or task; what is left out is judged by the general ones."""

    p50: Rule | None = Field(default=None, description="Median latency of it.")
    p95: Rule | None = Field(default=None, description="95th percentile of it.")
    p99: Rule | None = Field(default=None, description="99th percentile of it.")
    error_ratio: Rule | None = Field(default=None, description="Its failed requests.")
    completed_ratio: Rule | None = Field(default=None, description="Its answered arrivals.")

    @property
    def rules(self) -> tuple[Objective, ...]:
        """Those that were given."""
        given = (self.p50, self.p95, self.p99, self.error_ratio, self.completed_ratio)
        return tuple(rule for rule in given if rule is not None)


class Objectives(Section):
    """What worsening the team accepts, decided before the run."""

    p50: Rule = Field(default=Objective(Metric.P50, 0.05), description="Median latency.")
    p95: Rule = Field(default=Objective(Metric.P95, 0.10), description="95th percentile of latency.")
    p99: Rule = Field(
        default=Objective(Metric.P99, 0.20, is_advisory=True),
        description="99th percentile of latency. Advisory: reported, but it decides nothing.",
    )
    error_ratio: Rule = Field(
        default=Objective(Metric.ERROR_RATIO, 0.001),
        description="Failed requests of all requests, in percentage points.",
    )
    completed_ratio: Rule = Field(
        default=Objective(Metric.COMPLETED_RATIO, 0.03),
        description="Answered arrivals of all that were offered.",
    )
    capacity: Rule = Field(
        default=Objective(Metric.CAPACITY, 0.10),
        description="The most that is completed per second; only with `load.capacity`.",
    )
    endpoints: Mapping[str, EndpointObjectives] = Field(
        default={}, description="Objectives of single endpoints or tasks."
    )

    @property
    def rules(self) -> tuple[Objective, ...]:
        """The general ones."""
        return (self.p50, self.p95, self.p99, self.error_ratio, self.completed_ratio, self.capacity)


class NoiseSettings(Section):
    """Standard deviations of the logarithm of candidate/baseline that hold until they are measured."""

    start_sd: Annotated[Percent, between(0, 1, "it is noise", write_percent)] = Field(
        default=0.015, description="Between two processes of the same code."
    )
    start_degrees_of_freedom: Annotated[Whole, between(1, 1000, "it weighs an assumption")] = Field(
        default=8, description="How much that assumption weighs against measured restarts."
    )
    host_sd: Annotated[Percent, between(0, 1, "it is noise", write_percent)] = Field(
        default=0.02, description="Between two environments that should be equal."
    )
    run_to_run_sd: Annotated[Percent, between(0, 1, "it is noise", write_percent)] = Field(
        default=0.05, description="Between two runs of the same code, in recorded mode."
    )
    series_sd: Annotated[Percent, between(0, 1, "it is noise", write_percent)] = Field(
        default=0.03, description="Of a server-side series, between two processes of the same code."
    )
    growth_sd: Annotated[Percent, between(0, 1, "it is noise", write_percent)] = Field(
        default=0.01, description="Of its growth in a minute, as a part of its level."
    )


_Alpha = Annotated[Number, between(1e-6, 0.2, "it is the chance of a wrong verdict")]


class JudgeSettings(Section):
    """How evidence becomes a verdict."""

    critical: Words = Field(
        default=(), description="Endpoints or tasks that must be certified, however rare they are."
    )
    floor_s: Annotated[Duration, between(0, 10, "it hides every smaller change", write_duration)] = Field(
        default=0.0002, description="A change of latency below this is never a worsening."
    )
    abort_alpha: _Alpha = Field(
        default=0.01, description="Chance of an ABORT without any worsening, over the whole verdict."
    )
    go_alpha: _Alpha = Field(
        default=0.05, description="Chance of certifying something that lies at its margin."
    )
    certify_share: Annotated[Percent, between(0.001, 1, "it is of all requests", write_percent)] = Field(
        default=0.10,
        description="Endpoints with this share of the requests must be certified for GO, if so many can prove it.",
    )
    min_pairs: Annotated[Whole, between(4, 10_000, "fewer cannot show their own spread")] = Field(
        default=8, description="Pairs of blocks below which nothing is decided."
    )
    min_rounds: Annotated[Whole, between(2, 100, "one run cannot show how runs differ")] = Field(
        default=3, description="Rounds of the baseline below which recorded mode decides nothing."
    )
    max_baseline_error_ratio: Annotated[
        Percent, between(0, 0.5, "a sick baseline proves nothing", write_percent)
    ] = Field(
        default=0.05,
        description="Share of failed requests from which on the baseline itself counts as unhealthy.",
    )
    guard_alpha: _Alpha = Field(
        default=0.001, description="Chance that the guard stops a run without any damage."
    )
    guard_stop_error_ratio: Annotated[Percent, between(0.001, 1, "it is of all requests", write_percent)] = (
        Field(default=0.05, description="Size of the damage from which on the guard stops the load.")
    )
    shared: tuple[Literal["host", "database"], ...] = Field(
        default=(),
        description="What both sides share by design; they are then judged against pairs recorded the same way.",
    )
    noise: NoiseSettings = Field(default=NoiseSettings(), description="What is assumed until it is measured.")
