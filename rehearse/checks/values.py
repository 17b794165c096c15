"""Equal requests, equal answers: what the two sides say differently although each of them agrees with itself.

Only GET requests that the load itself sent, a few of each endpoint, after the rounds. Each side is asked twice, in
turn: a place that differs between two answers of one side (a time, a fresh id) says nothing about the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic

from rehearse.checks.places import NotJson, below, cut, example_of, is_secret, parse
from rehearse.codec import from_bytes, to_bytes
from rehearse.model import Exhibit, Side, ValueDifference

VALUES = "values"  # the kind of the exhibit
MAX_TARGETS = 40
LIMIT_S = 30.0  # for all of it; what is left then is not asked
_MAX_DIFFERENCES = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer to a request of our own."""

    status: int
    body: bytes


Ask = Callable[[Side, str], Reply | None]
Target = tuple[str, str, int]  # endpoint, path and query, status under load
Pair = tuple[object, object]


def compare_values(
    targets: Sequence[Target],
    ask: Ask,
    clean: Callable[[str], str] = str,
    clock: Callable[[], float] = monotonic,
) -> tuple[ValueDifference, ...]:
    """Ask both sides for each target. Targets that are answered otherwise than under load are left out."""
    until = clock() + LIMIT_S
    compared: dict[tuple[str, int], int] = {}
    found: dict[tuple[str, int, str], list[Pair]] = {}
    for endpoint, path, status in _spread(targets):
        if clock() > until:
            break
        documents = _ask_in_turn(ask, path, status)
        if documents is None:
            continue
        compared[endpoint, status] = compared.get((endpoint, status), 0) + 1
        for place, pair in _differences(documents).items():
            found.setdefault((endpoint, status, place), []).append(pair)
    return tuple(
        ValueDifference(
            clean(endpoint),
            status,
            clean(place),
            len(pairs),
            compared[endpoint, status],
            *(_example(value, place, clean) for value in pairs[0]),
        )
        for (endpoint, status, place), pairs in sorted(found.items())[:_MAX_DIFFERENCES]
    )


def values_exhibit(differences: Iterable[ValueDifference]) -> Exhibit:
    """All of them, to be stored."""
    return Exhibit(VALUES, "all", to_bytes(tuple(differences)))


def differences_of(exhibits: Iterable[Exhibit]) -> tuple[ValueDifference, ...]:
    """The value differences among a run's exhibits. Raises CodecError."""
    kept = [one for one in exhibits if one.kind == VALUES]
    return tuple(found for one in kept for found in from_bytes(tuple[ValueDifference, ...], one.body))


def _spread(targets: Sequence[Target]) -> list[Target]:
    """One of each endpoint first, so that the bound leaves no endpoint out while others are asked twice."""
    seen: dict[str, int] = {}
    ranked = []
    for target in targets:
        seen[target[0]] = seen.get(target[0], 0) + 1
        ranked.append((seen[target[0]], target))
    return [target for _, target in sorted(ranked)][:MAX_TARGETS]


def _ask_in_turn(ask: Ask, path: str, status: int) -> list[object] | None:
    """Baseline, candidate, baseline, candidate."""
    documents = []
    for side in (Side.BASELINE, Side.CANDIDATE) * 2:
        reply = ask(side, path)
        if reply is None or reply.status != status:
            return None
        try:
            documents.append(parse(reply.body))
        except NotJson:
            return None
    return documents


def _differences(documents: Sequence[object]) -> dict[str, Pair]:
    """Where the sides differ, and neither differs from itself there or above."""
    baseline, candidate, baseline_again, candidate_again = documents
    noise = {*_places(baseline, baseline_again), *_places(candidate, candidate_again)}
    return {
        place: pair
        for place, pair in _places(baseline, candidate).items()
        if not any(place == one or place.startswith((f"{one}.", f"{one}[")) for one in noise)
    }


def _places(one: object, other: object) -> dict[str, Pair]:
    """The places where two documents differ, each with the first pair of values."""
    from deepdiff import DeepDiff  # takes a while to import, and most runs of `rehearse` never need it

    found: dict[str, Pair] = {}
    difference = DeepDiff(one, other, view="tree", zip_ordered_iterables=True)
    for changes in difference.values():
        for change in changes:
            found.setdefault(_place(change.path(output_format="list")), (change.t1, change.t2))
    return found


def _place(steps: Iterable[object]) -> str:
    place = "$"
    for step in steps:
        place = f"{place}[*]" if isinstance(step, int) else below(place, str(step))
    return place


def _example(value: object, place: str, clean: Callable[[str], str]) -> str:
    try:
        json.dumps(value)
    except TypeError:  # what deepdiff puts where one side has nothing
        return "nothing"
    return cut(example_of(value, is_secret(place), clean))
