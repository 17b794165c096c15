"""How much load, for how long, of which kind, and how well the load generator must do."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rehearse.config.fields import Duration, ExistingFile, Name, Number, Percent, Whole, between
from rehearse.config.quantities import write_duration, write_percent
from rehearse.config.section import Section

HOUR_S = 3600.0


class RigSettings(Section):
    """How well the load generator must do; beyond these a block is discarded on both sides."""

    max_rig_lag_p99_s: Annotated[
        Duration, between(0.001, 10, "it is lateness of the rig", write_duration)
    ] = Field(
        default=0.005,
        alias="max_rig_lag",
        description="Lateness of arrivals that is the rig's own fault (99th percentile).",
    )
    max_rig_lag_of_baseline_p50_ratio: Annotated[
        Percent, between(0, 1, "it is a part of the baseline's median", write_percent)
    ] = Field(
        default=0.10,
        alias="max_rig_lag_of_p50",
        description="The same as a part of the baseline's median; the larger of the two limits holds.",
    )
    max_stall_s: Annotated[Duration, between(0.01, 10, "it is a pause of the event loop", write_duration)] = (
        Field(default=0.100, description="Longest time that the worker's event loop may stand still.")
    )
    max_cpu_ratio: Annotated[Percent, between(0.01, 1, "it is of one core", write_percent)] = Field(
        default=0.80, alias="max_cpu", description="CPU of a worker, of one core."
    )
    max_steal_ratio: Annotated[Percent, between(0, 1, "it is of all CPU time", write_percent)] | None = Field(
        default=None,
        alias="max_steal",
        description="CPU time that the hypervisor gave to others. Left out: only recorded.",
    )
    max_queue_wait_ratio: Annotated[Percent, between(0, 1, "it is of the block", write_percent)] | None = (
        Field(
            default=None,
            alias="max_queue_wait",
            description="Time that the worker could have run and had no core. Left out: only recorded.",
        )
    )
    max_throttled: Annotated[Whole, between(0, 10_000, "each is a pause of up to 100 ms")] = Field(
        default=0, description="How often a CPU quota (cgroup) may stop the worker in a block."
    )
    max_clock_step_s: Annotated[Duration, between(0.01, 60, "it is a step of the clock", write_duration)] = (
        Field(
            default=0.050,
            alias="max_clock_step",
            description="How far the wall clock may leave the monotonic one in a block: set by hand, or after a sleep.",
        )
    )
    max_discarded_ratio: Annotated[
        Percent, between(0, 0.5, "a verdict rests on the greater part of its evidence", write_percent)
    ] = Field(
        default=0.20,
        alias="max_discarded",
        description="Share of discarded blocks from which on no run can be GO.",
    )


class CapacitySettings(Section):
    """The capacity probe: after the rounds each side alone is offered more and more, until it breaks."""

    max_rate: Annotated[Number, between(0.01, 50_000, "one host cannot do more on schedule")] | None = Field(
        default=None,
        description="Arrivals per second that are offered at most. Left out: no probe.",
    )
    start_rate: Annotated[Number, between(0.01, 50_000, "one host cannot do more on schedule")] | None = (
        Field(default=None, description="Where the staircase begins. Left out: at `load.rate`.")
    )
    step: Annotated[Percent, between(0.01, 1, "a step must be seen, and not be a leap", write_percent)] = (
        Field(default=0.15, description="How much higher each step is than the one before, at most.")
    )
    step_duration_s: Annotated[
        Duration, between(1, 60, "shorter is noise, longer is load for nothing", write_duration)
    ] = Field(default=3.0, description="Length of a step; a turn after the staircase lasts three of them.")
    pairs: Annotated[Whole, between(4, 100, "fewer cannot show how much turns differ")] = Field(
        default=6, description="Turns of each side after its staircase."
    )
    users: Annotated[Whole, between(1, 20_000, "each is a greenlet with a connection")] | None = Field(
        default=None,
        description="Requests under way at the same moment, at most. Left out: as many as the highest rate needs, "
        "from 20 to 200.",
    )
    distress: Annotated[
        Percent, between(0.001, 1, "it is of all requests within two seconds", write_percent)
    ] = Field(default=0.05, description="Share of failed requests from which on the probe stops at once.")


class Load(Section):
    """How much load, and for how long."""

    rate: Annotated[Number, between(0.01, 50_000, "one host cannot do more on schedule")] = Field(
        description="Arrivals per second and side. Only you know what your users do: there is no default."
    )
    arrivals: Literal["poisson", "uniform", "recorded"] = Field(
        default="poisson",
        description="Times of arrivals: as users come (`poisson`), evenly spaced (`uniform`), or as they once came"
        " (`recorded`).",
    )
    recorded: ExistingFile | None = Field(
        default=None,
        description='The file with the times of `arrivals = "recorded"`; they are repeated, and stretched to `rate`.',
    )
    warm_up_s: Annotated[Duration, between(0, HOUR_S, "it counts for nothing", write_duration)] = Field(
        default=10.0, description="Load before anything is measured, each round."
    )
    block_s: Annotated[
        Duration, between(1, 60, "shorter is noise, longer leaves too few pairs to compare", write_duration)
    ] = Field(default=4.0, description="Length of a block, the unit of observation.")
    budget_s: Annotated[
        Duration, between(1, 6 * HOUR_S, "it bounds the load on the target", write_duration)
    ] = Field(default=300.0, description="Measured load of a comparison, over all rounds, at most.")
    seed: Annotated[Whole, between(0, 2**31 - 1, "it seeds generators")] = Field(
        default=1, description="The same seed gives the same arrival times."
    )
    workers: Annotated[Whole, between(1, 64, "each is a process of its own")] = Field(
        default=1, description="Load processes per side."
    )
    rounds: Annotated[Whole, between(1, 100, "each restarts the targets")] | None = Field(
        default=None,
        description="Restarts of the targets, with warm-up and blocks after each; they share the budget. Left out: one"
        " for every 36 s (and 9 blocks) of it, 8 at most; one where nothing can be restarted.",
    )
    users: Annotated[Whole, between(1, 20_000, "each is a greenlet with a connection")] | None = Field(
        default=None,
        description="Simulated users per side. Left out: as many as the rate needs, from 20 to 200.",
    )
    timeout_s: Annotated[
        Duration, between(0.1, 600, "each run waits that long at its end", write_duration)
    ] = Field(default=10.0, description="A request that takes longer counts as a timeout.")
    rig: RigSettings = Field(default=RigSettings(), description="Limits of the load generator's own health.")
    capacity: CapacitySettings = Field(
        default=CapacitySettings(), description="How much each side can take at most."
    )


class Scenario(Section):
    """Scripted user behaviour: one Locust file."""

    name: Name = Field(description="What reports call it.")
    file: ExistingFile = Field(description="The Locust file, relative to the configuration.")
    share: Annotated[Number, between(0.001, 1000, "it is weighed against the other shares")] = Field(
        default=1.0, description="Its part of the arrivals, against the shares of the other scenarios."
    )
    tags: tuple[Name, ...] = Field(default=(), description="Only the tasks with one of these tags (`@tag`).")
    exclude_tags: tuple[Name, ...] = Field(default=(), description="Not the tasks with one of these tags.")
