"""Logs of probes of a system whose state at each moment is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from rehearse.disruptions import Probe, ProbeLog, Sample, SampleOutcome

READ, FRESH, WRITE = Probe("read"), Probe("fresh read", is_fresh=True), Probe("write", "POST", is_write=True)
INTERVAL_S = 0.1


@dataclass(frozen=True)
class State:
    """What the system does with a probe that is sent now: it waits, and then it answers or fails in one way."""

    kind: str = ""
    version: str = ""
    takes_s: float = 0.005
    is_rig: bool = False

    @property
    def outcome(self) -> SampleOutcome:
        if self.is_rig:
            return SampleOutcome.RIG
        return SampleOutcome.FAILED if self.kind else SampleOutcome.OK


System = Callable[[Probe, float], State]


def log_of(
    system: System,
    length_s: float = 10.0,
    probes: tuple[Probe, ...] = (READ,),
    began_s: float = 100.0,
    late: Random | None = None,
) -> ProbeLog:
    """A whole log; times that `system` gets count from the beginning."""
    samples = []
    for turn in range(round(length_s / INTERVAL_S)):
        for place, probe in enumerate(probes):
            due_s = turn * INTERVAL_S + place * INTERVAL_S / len(probes)
            late_s = late.uniform(0, 0.03) if late is not None else 0.0
            state = system(probe, due_s + late_s)
            samples.append(
                Sample(
                    probe.name,
                    began_s + due_s,
                    late_s,
                    state.takes_s,
                    state.outcome,
                    state.kind,
                    state.version,
                )
            )
    return ProbeLog(probes, INTERVAL_S, began_s, began_s + length_s, tuple(samples), is_whole=True)


def down(from_s: float, to_s: float, kind: str = "refused") -> System:
    """Served, but for one time."""
    return lambda _, at_s: State(kind) if from_s <= at_s < to_s else State()


def held(from_s: float, to_s: float, patience_s: float = 1.0) -> System:
    """Whoever comes in that time waits for its end, or gives up."""

    def state(_: Probe, at_s: float) -> State:
        if not from_s <= at_s < to_s:
            return State()
        left_s = to_s - at_s
        return State(takes_s=left_s) if left_s < patience_s else State("no answer", takes_s=patience_s)

    return state
