"""Changes that all keys of one object share: told once, for the object, and waived once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from rehearse.judge.known_good import parent_of
from rehearse.model import ContractChange

LEAST = 3  # keys; fewer are told one by one
_FOLDED = ("type", "null", "format", "value")
Keys = Callable[[str, int, str], Sequence[str]]


def folded(changes: Iterable[ContractChange], keys_of: Keys) -> list[ContractChange]:
    """`keys_of(endpoint, status, object)` are the places of all its keys on the known-good side."""
    families: dict[tuple[object, ...], list[ContractChange]] = {}
    for one in changes:
        parent = parent_of(one.place) if one.what in _FOLDED and one.place.startswith("$.") else None
        key = (one.endpoint, one.status, one.what, one.weight, parent or one.place)
        families.setdefault(key, []).append(one)
    return [one for family in families.values() for one in _one_for_all(family, keys_of)]


def _one_for_all(family: list[ContractChange], keys_of: Keys) -> list[ContractChange]:
    first = family[0]
    parent = parent_of(first.place)
    places = {one.place for one in family}
    if parent is None or len(places) < LEAST:
        return family
    if places != set(keys_of(first.endpoint, first.status, parent)):
        return family
    place = f"{parent}.*"
    names = ", ".join(one.removeprefix(f"{parent}.") for one in sorted(places)[:2])
    sentence = first.sentence.replace(f"{first.place}:", f"{place}:", 1)
    return [
        replace(first, place=place, sentence=f"{sentence}; the same in all {len(places)} keys: {names}, ...")
    ]
