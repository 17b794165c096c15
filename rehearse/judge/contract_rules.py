"""What can change at one place of an answer, and how much each change weighs when it is proven."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rehearse.judge.known_good import HEADER, NOWHERE, Known, could_be
from rehearse.judge.stats import fisher_p_value
from rehearse.model import Contract, ContractChange, PlaceFacts, Weight

_GATING_HEADERS = ("content-type", "location", "set-cookie", "strict-transport-security", "content-security-policy",
                   "x-content-type-options", "x-frame-options", "www-authenticate")  # fmt: skip
_RARE_RATIO = (
    0.01  # what the known-good side does at most this often, and the candidate far more, counts as new
)
_FAR_MORE = 10
_REPEATS = 3  # an enumeration: each value was seen this often on average
_ENOUGH_LISTS = 10  # from which on "always sorted" means something
_LIST_FORMATS = ("filled list", "empty list", "3 or more items")
_GATE, _WARN, _NOTE = Weight.GATE, Weight.WARN, Weight.NOTE


@dataclass(frozen=True, slots=True)
class Suspect:
    """A change that is to be proven. None = it needs no proof: it is only told."""

    change: ContractChange
    p_value: float | None = None
    unproven: Weight = Weight.NOTE


@dataclass(frozen=True, slots=True)
class _Place:
    """One place on both sides."""

    known: Known
    candidate: Contract
    name: str
    before: PlaceFacts
    after: PlaceFacts

    @property
    def label(self) -> str:
        return f"{self.known.endpoint} {self.known.status} {self.name}"

    def suspect(
        self,
        what: str,
        weight: Weight,
        words: str,
        counts: tuple[int, int, int, int],
        examples: tuple[str, str] = ("", ""),
        unproven: Weight = Weight.NOTE,
    ) -> Suspect:
        """`counts`: on the known-good side of how many, on the candidate of how many."""
        had, of, has, of_now = counts
        sentence = f"{self.label}: {words} (in {has} of {of_now} answers; known-good: {had} of {of})"
        change = ContractChange(
            self.known.endpoint, self.known.status, self.name, what, weight, sentence, *examples, *counts
        )
        return Suspect(change, fisher_p_value(had, of, has, of_now), unproven)

    def told(self, what: str, words: str, after: str = "") -> Suspect:
        """Something that only adds, or that cannot be compared."""
        change = ContractChange(
            self.known.endpoint,
            self.known.status,
            self.name,
            what,
            _NOTE,
            f"{self.label}: {words}",
            "",
            after,
        )
        return Suspect(change)


def place_suspects(known: Known, candidate: Contract) -> Iterator[Suspect]:
    """Everything that may have changed in the answers of one endpoint with one status."""
    yield from _unreadable(known, candidate)
    for name in sorted({*known.places, *candidate.places}):
        if _has_other_keys(name, known, candidate):
            continue
        place = _Place(
            known, candidate, name, known.places.get(name, NOWHERE), candidate.places.get(name, NOWHERE)
        )
        if not place.after.present:
            yield from _gone(place)
        elif not place.before.present:
            yield from _new(place)
        else:
            yield from _optional(place)
            yield from _types(place)
            yield from _formats(place)
            yield from _orders(place)
            yield from _values(place)
    for name in sorted(set(candidate.varying) - known.varying):
        place = _Place(known, candidate, name, NOWHERE, NOWHERE)
        yield place.told("keys", "its keys vary now, as those of a dictionary; below it nothing is compared")


def _unreadable(known: Known, candidate: Contract) -> Iterator[Suspect]:
    if candidate.unreadable:
        counts = (
            known.unreadable,
            known.unreadable + known.documents,
            candidate.unreadable,
            candidate.unreadable + candidate.documents,
        )
        place = _Place(known, candidate, "$", NOWHERE, NOWHERE)
        if _is_new(counts):
            yield place.suspect("json", _GATE, "it says it is JSON and is not", counts, unproven=_WARN)


def _has_other_keys(name: str, known: Known, candidate: Contract) -> bool:
    """Below an object whose keys are data on one side, and names on the other, places cannot be matched."""
    return any(name.startswith((f"{one}.", f"{one}[")) for one in known.varying ^ set(candidate.varying))


# --- keys ---------------------------------------------------------------------------------------------------------


def _gone(place: _Place) -> Iterator[Suspect]:
    """It was there, and is no more; only where it could have been."""
    of_now = could_be(place.name, place.candidate.places, place.candidate.samples)
    missing = (place.before.of - place.before.present, place.before.of, of_now, of_now)
    if not of_now or place.name == "$":
        return
    if place.candidate.is_bounded:
        yield place.told("key", "it was not seen among the places that were kept")
        return
    what, weight = ("header", _of_header(place.name)) if place.name.startswith(HEADER) else ("key", _GATE)
    if place.before.present < place.before.of and not place.known.is_steady(place.name):
        yield place.told(what, "it is missing; known-good recordings do not agree on how often it is there")
    else:
        yield place.suspect(what, weight, "it vanished", missing, (_any_example(place.before), "nothing"))


def _new(place: _Place) -> Iterator[Suspect]:
    """An addition. What is below a new object or another type is told there."""
    if place.name == "$" or place.known.is_bounded:
        return
    could_have_been = could_be(place.name, place.known.places, place.known.samples)
    if could_have_been and place.after.types != {"null": place.after.present}:
        what = "header" if place.name.startswith(HEADER) else "new key"
        yield place.told(what, "it is new", _any_example(place.after))


def _optional(place: _Place) -> Iterator[Suspect]:
    before, after = place.before, place.after
    counts = (before.of - before.always, before.of, after.of - after.always, after.of)
    if not _is_new(counts):
        return
    if place.name.startswith(HEADER):
        yield place.suspect("header", _of_header(place.name), "it is missing at times", counts)
    else:
        examples = (_any_example(before), "nothing")
        yield place.suspect("key", _GATE, "it became optional: it is missing", counts, examples)


# --- types, formats, values -----------------------------------------------------------------------------------------


def _types(place: _Place) -> Iterator[Suspect]:
    before, after = place.before, place.after
    were = " or ".join(sorted(before.types, key=lambda kind: -before.types[kind]))
    for kind, count in sorted(after.types.items()):
        counts = (before.types.get(kind, 0), before.present, count, after.present)
        if not _is_new(counts) or (kind == "integer" and "number" in before.types):
            continue
        examples = (_any_example(before, but=kind), _example(after, kind))
        if kind == "null":
            yield place.suspect("null", _GATE, "null appeared", counts, examples, _WARN)
        else:
            yield place.suspect("type", _GATE, f"{were} became {kind}", counts, examples, _WARN)


def _formats(place: _Place) -> Iterator[Suspect]:
    before, after = place.before, place.after
    texts = before.types.get("string", 0), after.types.get("string", 0)
    known = {name for name in before.formats if _is_of_texts(name)}
    were = " or ".join(sorted(known - {"empty text"}))
    is_free = before.formats.get("text", 0) > _RARE_RATIO * texts[0]
    for name, count in sorted(after.formats.items()):
        counts = (before.formats.get(name, 0), texts[0], count, texts[1])
        if _is_of_texts(name) and all(texts) and not is_free and _is_new(counts):
            examples = (_any_example(before, but=name), after.examples.get(name, ""))
            weight = _WARN if name == "empty text" else _GATE
            yield place.suspect("format", weight, f"{were} became {name}", counts, examples)
    lists = before.types.get("array", 0), after.types.get("array", 0)
    counts = (before.formats.get("empty list", 0), lists[0], after.formats.get("empty list", 0), lists[1])
    if all(lists) and _is_new(counts):
        weight = _GATE if counts[2] == counts[3] else _WARN
        yield place.suspect("empty", weight, "the list is empty", counts)


def _is_of_texts(name: str) -> bool:
    return name not in _LIST_FORMATS and not name.startswith(("ascending", "descending"))


def _orders(place: _Place) -> Iterator[Suspect]:
    """A list that was always sorted by something, and is not any more."""
    before, after = place.before.formats, place.after.formats
    of, of_now = before.get("3 or more items", 0), after.get("3 or more items", 0)
    for name, count in sorted(before.items()):
        is_rule = name.startswith(("ascending", "descending")) and count == of >= _ENOUGH_LISTS
        if is_rule and after.get(name, 0) < of_now:
            words = f"the list is no longer {name}"
            yield place.suspect("order", _WARN, words, (0, of, of_now - after.get(name, 0), of_now))


def _values(place: _Place) -> Iterator[Suspect]:
    before, after = place.before, place.after
    total = sum(before.values.values())
    if not before.values or total < _REPEATS * len(before.values):
        return
    is_header = place.name.startswith(HEADER)
    weight = _of_value(place) if is_header else _WARN
    what = "header" if is_header else "enum"
    known = ", ".join(sorted(before.values)[:4])
    if not after.values:
        of_now = after.present
        if is_header or after.types.get("string"):
            words = f"many different values, where there were only {known}"
            yield place.suspect(what, weight, words, (0, total, of_now, of_now))
        return
    new = {value: count for value, count in after.values.items() if not before.values.get(value)}
    if new:
        value = max(new, key=lambda one: (new[one], one))
        counts = (0, total, sum(new.values()), sum(after.values.values()))
        words = f"{value!r} is new, where there were only {known}"
        yield place.suspect(what, weight, words, counts, (known, value))


def _of_header(name: str) -> Weight:
    return _GATE if name.removeprefix(HEADER).partition(" ")[0] in _GATING_HEADERS else _WARN


def _of_value(place: _Place) -> Weight:
    """Another media type breaks clients, another charset parameter hardly ever; cookies must keep their protection."""
    name, before, after = place.name.removeprefix(HEADER), place.before.values, place.after.values
    if name == "content-type":
        return _WARN if _media(after) <= _media(before) else _GATE
    if name.startswith("set-cookie"):
        return _GATE if _protections(before) - _protections(after) else _WARN
    return _GATE if name in ("x-content-type-options", "x-frame-options") else _WARN


def _media(values: Mapping[str, int]) -> set[str]:
    return {value.partition(";")[0].strip().lower() for value in values}


def _protections(values: Mapping[str, int]) -> set[str]:
    return {word for value in values for word in ("httponly", "secure", "samesite") if word in value.lower()}


def _is_new(counts: tuple[int, int, int, int]) -> bool:
    """Never or hardly ever on the known-good side, and far more often on the candidate."""
    had, of, has, of_now = counts
    if not of or not of_now or not has:
        return False
    return had == 0 or (had / of <= _RARE_RATIO and has / of_now >= _FAR_MORE * had / of)


def _example(facts: PlaceFacts, kind: str) -> str:
    """One of that type; of a text or a list examples are kept by their format."""
    found = facts.examples.get(kind)
    if found is not None:
        return found
    marks = {"string": '"', "array": "a list", "object": "an object"}
    return next((one for one in facts.examples.values() if one.startswith(marks.get(kind, "\0"))), "")


def _any_example(facts: PlaceFacts, but: str = "") -> str:
    """One that shows what was usual: not null, and not of the kind that is new."""
    shown = [
        one for kind, one in facts.examples.items() if kind not in (but, "null", "empty text", "empty list")
    ]
    return shown[0] if shown else next(iter(facts.examples.values()), next(iter(facts.values), ""))
