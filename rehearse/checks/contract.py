"""The response contract: learnt from samples, answer by answer, while the load runs.

genson would infer a JSON Schema of the same answers; a schema says what was possible and not how often it was seen,
and without counts "never null" cannot be told from "asked twice". So what is kept here are counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rehearse.checks.formats import FILLED, OBJECT
from rehearse.checks.places import MAX_KEYS, MAX_PLACES, ROOT, Document, NotJson, Seen, cut, example_of, parse
from rehearse.codec import JsonData, canonical_json, from_bytes, to_jsonable
from rehearse.model import Contract, Exhibit, PlaceFacts, Sample, Sampling, Side

CONTRACT, SAMPLING = "contract", "sampling"  # kinds of exhibits
MAX_CONTRACTS = 1000
_MOST_VALUES = 12  # different texts; with more of them it is no enumeration
_MOST_EXAMPLES = 3
_WHOLE_KEPT = 3  # samples of one endpoint and status that checks may look at: the first, and the last ones
_WHOLE_BYTES = 8_000_000  # of all of them
_TARGETS_EACH = 3  # different addresses of one endpoint, to be asked again
_MANY = None

Key = tuple[Side, str, int]
Clean = Callable[[str], str]


@dataclass(slots=True)
class _Tally:
    """What was counted at one place."""

    parent: str
    is_key: bool
    present: int = 0
    always: int = 0
    types: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    values: Counter[str] | None = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add_value(self, value: str) -> None:
        if self.values is not None:
            self.values[value] += 1
            if len(self.values) > _MOST_VALUES:
                self.values = _MANY


@dataclass(slots=True)
class _Learnt:
    """What is known of one endpoint and status on one side."""

    samples: int = 0
    documents: int = 0
    unreadable: int = 0
    cut: int = 0
    places: dict[str, _Tally] = field(default_factory=dict)
    headers: dict[str, _Tally] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)  # the children of each object
    varying: set[str] = field(default_factory=set)
    is_bounded: bool = False


class ContractLearner:
    """Takes samples in; gives contracts, as exhibits. What it keeps is bounded, whatever it is sent."""

    def __init__(self, clean: Clean = str) -> None:
        self._clean = clean
        self._learnt: dict[Key, _Learnt] = {}
        self._samplings: dict[Side, Sampling] = {}
        self._whole: dict[Key, list[Sample]] = {}
        self._whole_bytes = 0
        self._targets: dict[str, dict[str, int]] = {}

    def take(self, sample: Sample) -> None:
        """One answer."""
        key = (sample.side, sample.endpoint, sample.status)
        learnt = self._learnt.get(key)
        if learnt is None:
            if len(self._learnt) >= MAX_CONTRACTS:
                return
            learnt = self._learnt[key] = _Learnt()
        learnt.samples += 1
        self._headers(learnt, sample.headers)
        self._keep_whole(key, sample)
        if "json" in sample.headers.get("content-type", "").lower() and not _has_no_body(sample):
            self._body(learnt, sample)

    def count(self, sampling: Sampling) -> None:
        """A worker's account of its samples."""
        before = self._samplings.get(sampling.side, Sampling(sampling.side, 0))
        self._samplings[sampling.side] = Sampling(
            sampling.side,
            before.taken + sampling.taken,
            before.lost + sampling.lost,
            before.left_out + sampling.left_out,
            before.failed + sampling.failed,
        )

    def exhibits(self) -> Iterator[Exhibit]:
        """Everything that was learnt, without secrets, to be stored."""
        for side, endpoint, status in sorted(self._learnt):
            contract = _frozen((side, endpoint, status), self._learnt[side, endpoint, status])
            cleaned = self._cleaned(to_jsonable(contract))
            yield Exhibit(CONTRACT, f"{side} {status} {self._clean(endpoint)}", canonical_json(cleaned))
        for side, sampling in sorted(self._samplings.items()):
            yield Exhibit(SAMPLING, str(side), canonical_json(to_jsonable(sampling)))

    def recorded(self) -> tuple[Sample, ...]:
        """A few samples of each endpoint and status as a whole, redacted, for the checks of this run."""
        return tuple(self._redacted(sample) for kept in self._whole.values() for sample in kept)

    def targets(self) -> tuple[tuple[str, str, int], ...]:
        """(endpoint, path and query, status) of GET requests that the baseline answered well with JSON."""
        return tuple(
            (endpoint, target, status)
            for endpoint, targets in sorted(self._targets.items())
            for target, status in targets.items()
        )

    # inside

    def _headers(self, learnt: _Learnt, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            tally = learnt.headers.setdefault(f"header {name}", _Tally("", is_key=True))
            tally.present += 1
            tally.always += 1
            tally.add_value(value)
            tally.examples.setdefault("string", cut(self._clean(value)))

    def _body(self, learnt: _Learnt, sample: Sample) -> None:
        if not sample.is_whole:
            learnt.cut += 1
            return
        try:
            document = Document(learnt.varying)
            document.look(parse(sample.body))
        except NotJson:
            learnt.unreadable += 1
            return
        learnt.documents += 1
        learnt.is_bounded |= document.is_bounded
        for place, seen in document.places.items():
            self._count(learnt, place, seen, document.places.get(seen.parent))
        self._find_dictionaries(learnt, document)
        if sample.side is Side.BASELINE and sample.endpoint.startswith("GET ") and sample.target:
            self._note_target(sample)

    def _count(self, learnt: _Learnt, place: str, seen: Seen, parent: Seen | None) -> None:
        tally = learnt.places.get(place)
        if tally is None:
            if len(learnt.places) >= MAX_PLACES:
                learnt.is_bounded = True
                return
            tally = learnt.places[place] = _Tally(seen.parent, seen.is_key)
        tally.present += 1
        tally.always += not seen.is_key or parent is None or seen.times >= parent.objects
        tally.types.update(seen.types)
        tally.formats.update(seen.formats)
        for text in seen.values:
            tally.add_value(text)
        for kind, value in seen.examples.items():
            if kind not in tally.examples and len(tally.examples) < _MOST_EXAMPLES:
                tally.examples[kind] = cut(example_of(value, seen.is_secret, self._clean))

    @staticmethod
    def _find_dictionaries(learnt: _Learnt, document: Document) -> None:
        """An object with ever new keys is a dictionary: what was counted below it starts anew, under one place."""
        for place, seen in document.places.items():
            if seen.is_key:
                learnt.keys.setdefault(seen.parent, set()).add(place)
        for parent in [one for one, keys in learnt.keys.items() if len(keys) > MAX_KEYS]:
            learnt.varying.add(parent)
            keys = learnt.keys.pop(parent)
            for place in [one for one in learnt.places if _is_below(one, keys)]:
                del learnt.places[place]
            for place in [one for one in learnt.keys if _is_below(one, keys)]:
                del learnt.keys[place]

    def _keep_whole(self, key: Key, sample: Sample) -> None:
        kept = self._whole.setdefault(key, [])
        if not sample.is_whole:
            return
        if len(kept) == _WHOLE_KEPT:
            self._whole_bytes -= len(kept.pop(1).body)
        if self._whole_bytes + len(sample.body) <= _WHOLE_BYTES:
            self._whole_bytes += len(sample.body)
            kept.append(sample)

    def _note_target(self, sample: Sample) -> None:
        known = self._targets.setdefault(sample.endpoint, {})
        if 200 <= sample.status < 300 and len(known) < _TARGETS_EACH:
            known.setdefault(sample.target, sample.status)

    def _redacted(self, sample: Sample) -> Sample:
        return Sample(
            sample.side,
            self._clean(sample.endpoint),
            self._clean(sample.target),
            sample.status,
            {name: self._clean(value) for name, value in sample.headers.items()},
            self._clean(sample.body.decode("utf-8", "replace")).encode(),
            sample.is_whole,
        )

    def _cleaned(self, data: JsonData) -> JsonData:
        """Every text in it, keys too: a place or a value may be what must not be kept."""
        if isinstance(data, dict):
            return {self._clean(key): self._cleaned(value) for key, value in data.items()}
        if isinstance(data, list):
            return [self._cleaned(item) for item in data]
        return self._clean(data) if isinstance(data, str) else data


def contracts_of(exhibits: Iterable[Exhibit]) -> tuple[Contract, ...]:
    """The contracts among a run's exhibits. Raises CodecError."""
    return tuple(from_bytes(Contract, one.body) for one in exhibits if one.kind == CONTRACT)


def samplings_of(exhibits: Iterable[Exhibit]) -> tuple[Sampling, ...]:
    """The accounts of the samples among a run's exhibits. Raises CodecError."""
    return tuple(from_bytes(Sampling, one.body) for one in exhibits if one.kind == SAMPLING)


def _has_no_body(sample: Sample) -> bool:
    return sample.endpoint.startswith("HEAD ") or sample.status in (204, 205, 304)


def _is_below(place: str, roots: Iterable[str]) -> bool:
    return any(place == root or place.startswith((f"{root}.", f"{root}[")) for root in roots)


def _frozen(key: Key, learnt: _Learnt) -> Contract:
    side, endpoint, status = key
    places = {place: _facts(learnt, place, tally) for place, tally in learnt.places.items()}
    headers = {place: _as_facts(tally, learnt.samples) for place, tally in learnt.headers.items()}
    return Contract(
        side,
        endpoint,
        status,
        learnt.samples,
        learnt.documents,
        learnt.unreadable,
        learnt.cut,
        {**headers, **places},
        tuple(sorted(learnt.varying)),
        learnt.is_bounded,
    )


def _facts(learnt: _Learnt, place: str, tally: _Tally) -> PlaceFacts:
    parent = learnt.places.get(tally.parent)
    if place == ROOT or parent is None:
        return _as_facts(tally, learnt.documents)
    of = parent.types[OBJECT] if not place.endswith("[*]") else parent.formats[FILLED]
    return _as_facts(tally, max(of, tally.present) if tally.is_key else tally.present)


def _as_facts(tally: _Tally, of: int) -> PlaceFacts:
    return PlaceFacts(
        of,
        tally.present,
        tally.always,
        dict(tally.types),
        dict(tally.formats),
        dict(tally.values or {}),
        dict(tally.examples),
    )
