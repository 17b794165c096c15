"""What makes a block unfit to be judged: the load generator's doing, and not the system's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rehearse.model import Block, RigHealth, RigLimits


@dataclass(frozen=True, slots=True)
class Cause:
    """One way to be unfit. `size` is None where it was not measured: that is no complaint, and the report says so."""

    name: str
    size: Callable[[RigHealth], float | None]
    limit: Callable[[RigLimits], float | None]  # None: only recorded


EXHAUSTED = Cause("out of descriptors or ports", lambda rig: rig.exhausted, lambda _: 0)
CLOCK_STEP = Cause("clock step", lambda rig: rig.clock_step_s, lambda limits: limits.max_clock_step_s)
QUOTA = Cause("CPU quota", lambda rig: rig.throttled, lambda limits: limits.max_throttled)
STEAL = Cause("steal time", lambda rig: rig.steal_ratio, lambda limits: limits.max_steal_ratio)
QUEUE = Cause(
    "waiting for a core", lambda rig: rig.queue_wait_ratio, lambda limits: limits.max_queue_wait_ratio
)
STALL = Cause("stall", lambda rig: rig.stall_max_s, lambda limits: limits.max_stall_s)
CPU = Cause("CPU", lambda rig: rig.cpu_ratio, lambda limits: limits.max_cpu_ratio)
RIG_LAG = Cause("rig lag", lambda rig: rig.rig_lag.quantile_s(0.99), lambda limits: limits.max_rig_lag_p99_s)

# The cause before what it causes: a worker that waits for a core is late as well.
CAUSES = (EXHAUSTED, CLOCK_STEP, QUOTA, STEAL, QUEUE, STALL, CPU, RIG_LAG)


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why one block is not judged, and by how much."""

    block: Block
    cause: Cause
    size: float


def complaint_about(block: Block, limits: RigLimits, largest_lag_s: float) -> Complaint | None:
    """What was wrong with the rig in this block; None when nothing was."""
    for cause in CAUSES:
        size = cause.size(block.rig)
        limit = largest_lag_s if cause is RIG_LAG else cause.limit(limits)
        if size is not None and limit is not None and size > limit:
            return Complaint(block, cause, size)
    return None
