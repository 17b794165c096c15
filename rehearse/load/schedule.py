"""The arrival schedule: when each journey is due, as data.

Every block holds the same number of arrivals on both sides; the times inside it are drawn independently. Two plain
Poisson streams would differ in count by more than 2 % in a quarter of all one-minute runs, and the two sides would
meet different load.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import NamedTuple

from rehearse.errors import ConfigError
from rehearse.model import Phase, Side

MAX_RECORDED = 100_000


class Slot(NamedTuple):  # made for every arrival, and three times as quickly as a frozen dataclass
    """One planned arrival: due `due_s` after the common start, for one scenario."""

    number: int
    due_s: float
    block: int
    scenario: int


class Rota:
    """Takes turns by weight, without luck: smooth weighted round robin, as nginx spreads requests.

    After any n turns each position had its share of them to within one turn or so: a small share is served late, not
    never, however short the blocks are.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = tuple(weights)
        self._credits = [0.0] * len(self._weights)

    def next(self) -> int:
        """The position whose turn it is."""
        if len(self._weights) == 1:
            return 0
        self._credits = [credit + weight for credit, weight in zip(self._credits, self._weights, strict=True)]
        chosen = max(range(len(self._credits)), key=self._credits.__getitem__)
        self._credits[chosen] -= sum(self._weights)
        return chosen


@dataclass(frozen=True, slots=True)
class Schedule:
    """One round of load: warm-up blocks, then measured ones. `shares` weighs the scenarios.

    With `growth_ratio` it is a staircase: each block's rate is that much higher than the one before. With `recorded_s`,
    times since the first of them, arrivals come as they were recorded, over and over, at `rate_per_s` on average.
    """

    rate_per_s: float
    # "poisson": times drawn uniformly inside the block (Poisson given its count) | "uniform" | "recorded"
    arrivals: str
    block_s: float
    warm_up_blocks: int
    measured_blocks: int
    seed: int
    shares: tuple[float, ...] = (1.0,)
    growth_ratio: float = 0.0
    phase: Phase = Phase.ROUND
    recorded_s: tuple[float, ...] = ()

    @property
    def blocks(self) -> int:
        """All blocks of the round, warm-up included."""
        return self.warm_up_blocks + self.measured_blocks

    @property
    def length_s(self) -> float:
        """From the first block's start to the last block's end."""
        return self.blocks * self.block_s

    def is_warm_up(self, block: int) -> bool:
        """True for the blocks at the start whose data are stored but never judged."""
        return block < self.warm_up_blocks

    def rate_of(self, block: int) -> float:
        """Arrivals per second in a block."""
        return self.rate_per_s * (1 + self.growth_ratio) ** block

    def arrivals_in(self, block: int) -> int:
        """How many arrivals a block holds: the same on both sides, exact over the whole round."""
        return math.floor(self._due_before(block + 1) + 1e-9) - math.floor(self._due_before(block) + 1e-9)

    def _due_before(self, block: int) -> float:
        """How many arrivals are due before a block begins."""
        if self.recorded_s:
            return self._recorded_before(block * self.block_s)
        steps = block if not self.growth_ratio else ((1 + self.growth_ratio) ** block - 1) / self.growth_ratio
        return steps * (self.rate_per_s * self.block_s)

    def _recorded_before(self, at_s: float) -> int:
        """How many recorded arrivals are due before a moment, when the recording starts again at its end."""
        lap, within_s = divmod(at_s / self._stretch, self._lap_s)
        return int(lap) * len(self.recorded_s) + bisect_left(self.recorded_s, within_s)

    def _recorded_at_s(self, number: int) -> float:
        """When the recorded arrival of that number is due."""
        lap, place = divmod(number, len(self.recorded_s))
        return (lap * self._lap_s + self.recorded_s[place]) * self._stretch

    @property
    def _lap_s(self) -> float:
        """How long the recording is: to its last arrival, and the usual gap after it."""
        return self.recorded_s[-1] * len(self.recorded_s) / (len(self.recorded_s) - 1)

    @property
    def _stretch(self) -> float:
        """What makes the recording's own rate the one that is asked for."""
        return len(self.recorded_s) / self._lap_s / self.rate_per_s

    def as_poisson(self) -> Schedule:
        """The same rate without the recording: for what offers other rates than the recorded ones."""
        return replace(self, arrivals="poisson", recorded_s=()) if self.recorded_s else self

    def slots(self, side: Side, round_number: int, worker: int = 0, workers: int = 1) -> Iterator[Slot]:
        """The arrivals of one side in order of due time; worker k of W takes those with number % W == k."""
        number = 0
        rota = Rota(self.shares)
        for block in range(self.blocks):
            rng = Random(f"{self.seed}:{side}:{round_number}:{block}")
            scenarios = self._scenarios_in(block, round_number, rota)
            for offset_s, scenario in zip(self._offsets_s(block, rng), scenarios, strict=True):
                if number % workers == worker:
                    yield Slot(number, block * self.block_s + offset_s, block, scenario)
                number += 1

    def planned(self, worker: int = 0, workers: int = 1) -> list[int]:
        """How many arrivals each block holds for worker k of W."""
        counts = [0] * self.blocks
        number = 0
        for block in range(self.blocks):
            for _ in range(self.arrivals_in(block)):
                counts[block] += number % workers == worker
                number += 1
        return counts

    def digest(self) -> str:
        """A hash of what both recordings must have in common: everything but the length and the seed."""
        varies = {"measured_blocks", "seed"} | (set() if self.recorded_s else {"recorded_s"})
        shape = {key: value for key, value in asdict(self).items() if key not in varies}
        return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()

    def _offsets_s(self, block: int, rng: Random) -> list[float]:
        count = self.arrivals_in(block)
        if self.recorded_s:
            return self._recorded_offsets_s(block, rng)
        if self.arrivals == "uniform":
            step_s = self.block_s / max(count, 1)
            phase = rng.random()  # or else both sides would always send at the same instant
            return [(position + phase) * step_s for position in range(count)]
        random, block_s = rng.random, self.block_s
        return sorted([random() * block_s for _ in range(count)])

    def _recorded_offsets_s(self, block: int, rng: Random) -> list[float]:
        """As recorded; each side is shifted by a part of the usual gap, or both would always send at one instant."""
        first, start_s = int(self._due_before(block)), block * self.block_s
        shift_s = rng.random() / self.rate_per_s
        offsets = (self._recorded_at_s(first + place) - start_s for place in range(self.arrivals_in(block)))
        return sorted((offset + shift_s) % self.block_s for offset in offsets)

    def _scenarios_in(self, block: int, round_number: int, rota: Rota) -> list[int]:
        """Which scenario each arrival is for: the same multiset on both sides, shuffled the same way."""
        if len(self.shares) == 1:
            return [0] * self.arrivals_in(block)
        chosen = [rota.next() for _ in range(self.arrivals_in(block))]
        Random(f"{self.seed}:mix:{round_number}:{block}").shuffle(chosen)
        return chosen


def read_recorded(text: str, where: str) -> tuple[float, ...]:
    """Recorded arrival times: one a line, seconds since the first, in order; lines with # are comments.

    Raises ConfigError, with the line, for what is no schedule.
    """
    found: list[float] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            at_s = float(line)
        except ValueError:
            at_s = math.nan
        if not 0 <= at_s < math.inf or (found and at_s < found[-1]):
            raise ConfigError(
                f"{where}, line {number}: {line[:40]!r} is no number of seconds at or after the line above."
            )
        found.append(at_s)
        if len(found) > MAX_RECORDED:
            raise ConfigError(f"{where} has more than {MAX_RECORDED:,} arrivals; take a part of it.")
    if len(found) < 2 or found[-1] == found[0]:
        raise ConfigError(f"{where} has fewer than two different arrival times.")
    return tuple(at_s - found[0] for at_s in found)
