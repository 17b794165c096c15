"""What is written can be read back, and nothing else can be read."""

from __future__ import annotations

import inspect
import json
import math
import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from importlib import import_module
from pkgutil import iter_modules
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rehearse import model
from rehearse.codec import (
    CodecError,
    canonical_json,
    from_bytes,
    from_jsonable,
    parse_json,
    to_bytes,
    to_jsonable,
)
from rehearse.histogram import HIGHEST_US, Histogram, bucket_of
from rehearse.model import (
    Arrivals,
    Block,
    Decision,
    ErrorBin,
    Finding,
    Metric,
    Objective,
    Outcome,
    Policy,
    ReasonCode,
    RequestOutcome,
    RigHealth,
    Scope,
    Series,
    Side,
    Verdict,
)

NEVER_WRITTEN = (model.Exhibit, model.Sample)  # they hold bytes, and have rows and messages of their own
NOUNS: list[type] = [
    kind
    for _, kind in inspect.getmembers(model, inspect.isclass)
    if is_dataclass(kind) and kind.__module__.startswith(f"{model.__name__}.") and kind not in NEVER_WRITTEN
]
COUNTS = st.integers(0, 2**63 - 1)
SIZES = st.floats(0, 1e300)

# every noun, with anything in it that its types allow


def histograms() -> st.SearchStrategy[Histogram]:
    buckets = st.dictionaries(st.integers(-1, bucket_of(HIGHEST_US)), st.integers(1, 10**9), max_size=4)
    return buckets.map(
        lambda counts: Histogram.from_pairs([n for pair in sorted(counts.items()) for n in pair])
    )


def anything(annotation: Any) -> st.SearchStrategy[Any]:
    """A strategy for the values of one annotation of the model."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is UnionType:
        return st.one_of(*map(anything, arguments))
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(anything(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(anything, arguments))
    if origin is frozenset:
        return st.frozensets(anything(arguments[0]), max_size=2)
    if origin is Mapping:
        return st.dictionaries(anything(arguments[0]), anything(arguments[1]), max_size=2)
    return plain(annotation)


def plain(kind: type) -> st.SearchStrategy[Any]:
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{field.name: anything(hints[field.name]) for field in fields(kind)})
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    return {
        int: COUNTS,
        float: SIZES,
        bool: st.booleans(),
        str: st.text(st.characters(), max_size=8),
        NoneType: st.none(),
        Histogram: histograms(),
    }[kind]


@pytest.mark.parametrize("kind", NOUNS, ids=lambda kind: kind.__name__)
def test_every_noun_comes_back_as_it_was(kind: type) -> None:
    @settings(
        max_examples=40,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(plain(kind))
    def comes_back(value: object) -> None:
        written = to_bytes(value)
        again: object = from_bytes(kind, written)
        assert again == value
        assert to_bytes(again) == written

    comes_back()


def test_every_noun_of_every_module_is_a_noun_of_the_package() -> None:
    modules = [import_module(f"{model.__name__}.{found.name}") for found in iter_modules(model.__path__)]
    nouns = [
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
    ]
    assert len(nouns) > len(NOUNS)
    assert [kind for kind in nouns if getattr(model, kind.__name__, None) is not kind] == []


def test_the_nouns_are_all_there() -> None:
    assert {"Policy", "Verdict", "Result", "Block", "WorkerFinal", "RunRecord", "Evidence"} <= {
        kind.__name__ for kind in NOUNS
    }


# one block, by hand


def block() -> Block:
    durations = {RequestOutcome.OK: Histogram.from_pairs([5, 2, 3000, 1]), RequestOutcome.ERROR: Histogram()}
    return Block(
        side=Side.CANDIDATE,
        round=1,
        index=7,
        is_warm_up=False,
        start_s=28.0,
        length_s=4.0,
        arrivals=Arrivals(planned=3, dispatched=3, ok=3),
        series=(Series(Scope.ENDPOINT, "GET /é", durations, (ErrorBin("HTTP 500", 57, 2),)),),
        rig=RigHealth(Histogram(), Histogram(), stall_max_s=0.01, cpu_ratio=0.2),
    )


def edited(path: list[str | int], value: object) -> dict[str, Any]:
    data: Any = to_jsonable(block())
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return dict(data)


REFUSED: list[tuple[list[str | int], object, str]] = [
    (["side"], "control", "side: expected one of baseline, candidate, found 'control'"),
    (["side"], 1, "side: expected a Side, found 1"),
    (["round"], -1, "round: expected a count, zero or more, found -1"),
    (["round"], True, "round: expected a whole number, found True"),
    (["round"], 1.0, "round: expected a whole number, found 1.0"),
    (["is_warm_up"], 0, "is_warm_up: expected true or false, found 0"),
    (["start_s"], math.nan, "start_s: expected a finite number, found nan"),
    (["start_s"], math.inf, "start_s: expected a finite number, found inf"),
    (["start_s"], 10**400, "start_s: expected a number, found 1000"),
    (["start_s"], "4", "start_s: expected a number, found '4'"),
    (["length_s"], -4.0, "length_s: expected zero or more, found -4.0"),
    (["rig", "cpu_ratio"], None, "rig: cpu_ratio: expected a number, found None"),
    (["rig", "steal_ratio"], -0.1, "rig: steal_ratio: expected zero or more, found -0.1"),
    (["rig", "rig_lag"], [1, 0], "rig: rig_lag: a stored histogram has the pair 1: 0"),
    (["rig", "rig_lag"], [1, 2, 3], "rig: rig_lag: a stored histogram has an odd length"),
    (["rig", "rig_lag"], [2, 1, 1, 1], "rig: rig_lag: a stored histogram does not name each bucket once"),
    (["rig", "rig_lag"], [1, 1, 1, 1], "rig: rig_lag: a stored histogram does not name each bucket once"),
    (["rig", "rig_lag"], ["1", 1], "rig: rig_lag: a stored histogram has the pair '1': 1"),
    (["rig", "rig_lag"], "", "rig: rig_lag: expected a list, found ''"),
    (["rig", "rig_lag"], [10**9, 1], "rig: rig_lag: a stored histogram has the pair 1000000000: 1"),
    (["series"], {}, "series: expected a list, found {}"),
    (["series", 0, "durations"], [], "series: [0]: durations: expected an object, found []"),
    (["series", 0, "durations", "slow"], [], "durations: expected one of ok, error, timeout, censored"),
    (["series", 0, "errors", 0, "count"], None, "series: [0]: errors: [0]: count: expected a whole number"),
    (["series", 0, "name"], None, "series: [0]: name: expected a text, found None"),
    (["extra"], 1, "unknown ['extra']"),
]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    REFUSED,
    ids=[f"{path[-1]} = {str(value)[:20]}" for path, value, _ in REFUSED],
)
def test_data_that_is_not_a_block_is_refused_with_its_place(
    path: list[str | int], value: object, message: str
) -> None:
    with pytest.raises(CodecError) as caught:
        from_jsonable(Block, edited(path, value))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", [field.name for field in fields(Block)])
def test_a_missing_field_is_never_filled_in(name: str) -> None:
    data: Any = to_jsonable(block())
    del data[name]
    with pytest.raises(CodecError, match=f"missing.*{name}"):
        from_jsonable(Block, data)


@pytest.mark.parametrize("data", [None, 3, "Block", [], [1]], ids=repr)
def test_something_else_than_an_object_is_no_block(data: object) -> None:
    with pytest.raises(CodecError, match="expected an object"):
        from_jsonable(Block, data)


UNWRITABLE: list[tuple[str, Callable[[], object]]] = [
    ("NaN", lambda: replace(block(), start_s=math.nan)),
    ("a negative count", lambda: replace(block(), round=-1)),
    ("a list for a tuple", lambda: replace(block(), series=[])),  # type: ignore[arg-type]
    ("a text for an enum", lambda: replace(block(), side="baseline")),  # type: ignore[arg-type]
    ("an unknown outcome", lambda: Series(Scope.TASK, "x", {"slow": Histogram()})),  # type: ignore[dict-item]
    ("another class", lambda: replace(block(), rig=Arrivals())),  # type: ignore[arg-type]
    ("a type of no noun", object),
]


@pytest.mark.parametrize("make", [make for _, make in UNWRITABLE], ids=[name for name, _ in UNWRITABLE])
def test_what_could_not_be_read_back_is_not_written(make: Callable[[], object]) -> None:
    with pytest.raises(CodecError):
        to_jsonable(make())


# the small print


def test_a_reason_code_given_as_text_is_written_as_its_word() -> None:
    finding = Finding(
        Outcome.FAIL, ReasonCode.WORSE, "GET /x", "slower", numbers={"n": 3, "p": 3.0, "who": None}
    )
    again = from_bytes(Finding, to_bytes(finding))
    assert again == finding
    assert type(again.code) is str
    assert [type(again.numbers[name]) for name in ("n", "p", "who")] == [int, float, NoneType]


def test_a_float_of_another_library_is_written_as_a_number() -> None:
    class Float64(float):
        """As numpy's: a subclass."""

    objective = Objective(Metric.P95, Float64(0.05))
    assert to_bytes(objective) == to_bytes(Objective(Metric.P95, 0.05))


def test_a_whole_number_where_a_float_belongs_has_one_spelling() -> None:
    assert to_bytes(Policy((), floor_s=0)) == to_bytes(Policy((), floor_s=0.0))


def test_the_spelling_does_not_depend_on_the_order_of_keys_or_members() -> None:
    one = Series(Scope.TASK, "x", {RequestOutcome.OK: Histogram(), RequestOutcome.ERROR: Histogram()})
    two = Series(Scope.TASK, "x", {RequestOutcome.ERROR: Histogram(), RequestOutcome.OK: Histogram()})
    assert to_bytes(one) == to_bytes(two)
    assert to_jsonable(frozenset(Side)) == ["baseline", "candidate"]


def test_canonical_json_is_sorted_tight_ascii() -> None:
    assert (
        canonical_json({"b": [1, 2.5, None], "a": "é\u2028\x00"})
        == b'{"a":"\\u00e9\\u2028\\u0000","b":[1,2.5,null]}'
    )


@pytest.mark.parametrize("data", [math.nan, [math.inf], {"a": -math.inf}], ids=repr)
def test_canonical_json_refuses_what_json_has_no_word_for(data: Any) -> None:
    with pytest.raises(CodecError):
        canonical_json(data)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"NaN", b"[Infinity]", b"[-Infinity]", b'{"a":1,"a":2}', b"\xff\xfe", b"1 2", b"[" * 100_000],
    ids=["empty", "cut", "NaN", "inf", "-inf", "key twice", "not UTF-8", "two values", "bottomless"],
)
def test_text_that_is_not_strict_json_is_refused(text: bytes) -> None:
    with pytest.raises(CodecError):
        parse_json(text)


def test_a_number_that_overflows_to_infinity_is_refused() -> None:
    with pytest.raises(CodecError, match="finite"):
        from_bytes(Objective, to_bytes(Objective(Metric.P95, 0.5)).replace(b"0.5", b"1e999"))


def test_lists_of_nouns_are_read_by_their_type() -> None:
    blocks = (block(), replace(block(), index=8))
    assert from_jsonable(tuple[Block, ...], to_jsonable(blocks)) == blocks
    assert to_jsonable({"blocks": [block()]}) == {"blocks": [to_jsonable(block())]}


def test_a_verdict_reads_as_plain_json() -> None:
    assert json.loads(to_bytes(Verdict(Decision.ABORT)))["decision"] == "ABORT"


def test_noise_is_never_read_as_a_block() -> None:
    """Each byte of a written block in turn becomes another: refused, or a block that is written just so."""
    written, rng = to_bytes(block()), random.Random(7)
    for place in range(len(written)):
        noise = written[:place] + struct.pack("B", rng.randrange(256)) + written[place + 1 :]
        try:
            again = from_bytes(Block, noise)
        except CodecError:
            continue
        assert isinstance(again, Block)
