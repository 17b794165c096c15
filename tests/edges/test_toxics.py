"""Toxics as data: Toxiproxy's names and JSON, what is refused, and what several of them come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearse.edges.toxics import (
    ATTRIBUTES,
    NO_EFFECT,
    Effect,
    Stream,
    Toxic,
    ToxicType,
    effect_of,
    read_toxic,
    unique,
)
from rehearse.errors import ConfigError

TOXIPROXY = {
    "name": "slow",
    "type": "latency",
    "stream": "upstream",
    "toxicity": 0.5,
    "attributes": {"latency": 1000, "jitter": 50},
}


def test_a_toxic_is_read_and_written_as_toxiproxy_does() -> None:
    toxic = read_toxic(TOXIPROXY)
    assert toxic == Toxic(
        ToxicType.LATENCY, {"latency": 1000, "jitter": 50}, Stream.UPSTREAM, toxicity=0.5, name="slow"
    )
    assert toxic.as_json() == TOXIPROXY


def test_what_is_left_out_has_toxiproxys_defaults() -> None:
    assert read_toxic({"type": "timeout"}).as_json() == {
        "name": "timeout_downstream",
        "type": "timeout",
        "stream": "downstream",
        "toxicity": 1.0,
        "attributes": {"timeout": 0},
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "latancy"}, "Did you mean 'latency'?"),
        ({"type": None}, "type is 'None'"),
        ({"stream": "upsteam"}, "Did you mean 'upstream'?"),
        ({"atributes": {}}, "Did you mean 'attributes'?"),
        ({"attributes": {"latencey": 5}}, "Did you mean 'latency'?"),
        ({"attributes": {"latency": -1}}, "whole number from 0 up, not -1"),
        ({"attributes": {"latency": 1.5}}, "whole number from 0 up, not 1.5"),
        ({"attributes": {"latency": True}}, "not True"),
        ({"attributes": {"latency": 2**31}}, "whole number"),
        ({"attributes": 5}, "attributes are a table"),
        ({"toxicity": 1.5}, "share from 0 to 1, not 1.5"),
        ({"toxicity": float("nan")}, "share from 0 to 1"),
        ({"toxicity": "all"}, "share from 0 to 1"),
        ({"type": "bandwidth", "attributes": {}}, "rate must be 1 or more"),
        ({"type": "slicer", "attributes": {"delay": 5}}, "average_size must be 1 or more"),
        ({"type": "down", "attributes": {}}, "leave toxicity at 1"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        read_toxic({**TOXIPROXY, **changes})


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ConfigError, match="a toxic is a table"):
        read_toxic(["latency"])


def test_counters_go_by_name_so_two_of_one_name_are_refused() -> None:
    twice = Toxic(ToxicType.LATENCY, {"latency": 5})
    with pytest.raises(ConfigError, match="latency_downstream"):
        unique([twice, twice])


@given(seed=st.integers(0, 1000), connection=st.integers(0, 100_000))
def test_a_share_of_none_hits_nobody_and_one_of_all_everybody(seed: int, connection: int) -> None:
    assert Toxic(ToxicType.RESET_PEER, toxicity=1.0).hits(seed, connection)
    assert not Toxic(ToxicType.RESET_PEER, toxicity=0.0).hits(seed, connection)


def test_toxicity_chooses_its_share_of_connections_and_the_same_ones_for_the_same_seed() -> None:
    toxic = Toxic(ToxicType.RESET_PEER, toxicity=0.3)
    chosen = [toxic.hits(7, number) for number in range(10_000)]
    assert chosen == [toxic.hits(7, number) for number in range(10_000)]
    assert chosen != [toxic.hits(8, number) for number in range(10_000)]
    assert 0.28 < sum(chosen) / 10_000 < 0.32


def test_delays_add_up_and_the_narrowest_limit_holds() -> None:
    effect = effect_of(
        [
            Toxic(ToxicType.LATENCY, {"latency": 100, "jitter": 10}, name="one"),
            Toxic(ToxicType.LATENCY, {"latency": 50}, name="two"),
            Toxic(ToxicType.BANDWIDTH, {"rate": 100}, name="wide"),
            Toxic(ToxicType.BANDWIDTH, {"rate": 10}, name="narrow"),
            Toxic(ToxicType.SLOW_CLOSE, {"delay": 200}),
        ]
    )
    assert effect == Effect(latency_s=0.15, jitter_s=0.01, bytes_per_s=10_000, slow_close_s=0.2)


def test_no_toxic_is_no_effect() -> None:
    assert effect_of([]) is NO_EFFECT


@given(
    available=st.integers(1, 1 << 20),
    chance=st.floats(-1, 1),
    size=st.integers(1, 4096),
    rate=st.integers(1, 9),
)
def test_a_piece_is_never_empty_and_never_more_than_there_is(
    available: int, chance: float, size: int, rate: int
) -> None:
    effect = effect_of(
        [
            Toxic(ToxicType.SLICER, {"average_size": size, "size_variation": 4096}),
            Toxic(ToxicType.BANDWIDTH, {"rate": rate}),
        ]
    )
    assert 1 <= effect.piece_bytes(available, chance) <= available


def test_a_delay_is_never_negative_however_large_the_jitter() -> None:
    assert effect_of([Toxic(ToxicType.LATENCY, {"latency": 10, "jitter": 500})]).delay_s(-1.0) == 0.0


def test_every_type_has_its_attributes() -> None:
    assert set(ATTRIBUTES) == set(ToxicType)
