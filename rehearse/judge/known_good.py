"""What is known of good answers: the contracts of every recording of the known-good version, taken together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from rehearse.judge.stats import fisher_p_value
from rehearse.model import Contract, PlaceFacts

HEADER = "header "
NOISE_ALPHA = 0.01
NOWHERE = PlaceFacts(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Known:
    """The known-good contracts of one endpoint and status."""

    endpoint: str
    status: int
    samples: int
    documents: int
    unreadable: int
    cut: int
    places: Mapping[str, PlaceFacts]
    parts: tuple[Contract, ...]
    varying: frozenset[str]
    is_bounded: bool

    def is_steady(self, place: str) -> bool:
        """Whether the recordings agree on how often something stood there: else a further difference says nothing."""
        found = [_presence(place, part) for part in self.parts]
        return all(
            min(fisher_p_value(*one, *other), fisher_p_value(*other, *one)) > NOISE_ALPHA / 2
            for one, other in combinations(found, 2)
        )


def known_good(contracts: Sequence[Contract]) -> Known:
    """`contracts` are of one endpoint and status, at least one."""
    names = {place for one in contracts for place in one.places}
    return Known(
        contracts[0].endpoint,
        contracts[0].status,
        sum(one.samples for one in contracts),
        sum(one.documents for one in contracts),
        sum(one.unreadable for one in contracts),
        sum(one.cut for one in contracts),
        {name: _together(name, contracts) for name in sorted(names)},
        tuple(contracts),
        frozenset(place for one in contracts for place in one.varying),
        any(one.is_bounded for one in contracts),
    )


def _presence(place: str, contract: Contract) -> tuple[int, int]:
    facts = contract.places.get(place, NOWHERE)
    return facts.present, could_be(place, contract.places, contract.samples)


def _together(name: str, contracts: Sequence[Contract]) -> PlaceFacts:
    facts = [one.places.get(name, NOWHERE) for one in contracts]
    are_many = any(one.types.get("string") and not one.values for one in facts)
    return PlaceFacts(
        sum(could_be(name, one.places, one.samples) for one in contracts),
        sum(one.present for one in facts),
        sum(one.always for one in facts),
        _added(one.types for one in facts),
        _added(one.formats for one in facts),
        {} if are_many else _added(one.values for one in facts),
        {kind: example for one in reversed(facts) for kind, example in one.examples.items()},
    )


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def tests_of(known: Known, candidate: Contract) -> int:
    """How many changes could have been found: each place can be missing, and each of its types, formats and values
    can be new."""
    places = [*known.places.values(), *candidate.places.values()]
    return sum(1 + len(one.types) + len(one.formats) + len(one.values) for one in places)


def could_be(name: str, places: Mapping[str, PlaceFacts], samples: int) -> int:
    """In how many answers something could have stood at a place, also where it never did."""
    facts = places.get(name, NOWHERE)
    if facts.of:
        return facts.of
    if name.startswith(HEADER):
        return samples
    parent = parent_of(name)
    if parent is None or name.endswith(("[*]", ".*")):
        return 0  # an empty list or dictionary is told at its own place
    return places.get(parent, NOWHERE).types.get("object", 0)


def parent_of(place: str) -> str | None:
    """The place that holds another; None for the root and for headers."""
    if place == "$" or place.startswith(HEADER):
        return None
    if place.endswith("[*]"):
        return place[:-3]
    return place[: place.rindex('["')] if place.endswith('"]') else place.rpartition(".")[0]
