"""Blocks as bytes: what is written comes back, and nothing else can be read."""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from rehearse.codec import to_bytes
from rehearse.errors import StoreError
from rehearse.histogram import HIGHEST_BUCKET
from rehearse.model import Block
from rehearse.store.blocks import pack_block, unpack_block
from tests.judge.evidence import QUIET, paired
from tests.test_codec import anything

BLOCK = paired(QUIET, 1).blocks[3]


@given(anything(Block))
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
def test_a_block_comes_back_as_it_was(block: Block) -> None:
    assert unpack_block(pack_block(block, "it"), "it") == block


def test_the_same_block_gives_the_same_bytes_and_far_fewer_than_text() -> None:
    assert pack_block(BLOCK, "it") == pack_block(unpack_block(pack_block(BLOCK, "it"), "it"), "it")
    assert len(pack_block(BLOCK, "it")) < len(to_bytes(BLOCK))


def test_a_block_of_the_format_before_is_read() -> None:
    assert unpack_block(b"\x01" + zlib.compress(to_bytes(BLOCK)), "it") == BLOCK


# one thing spoiled at a time

Head = list[Any]


def spoiled(change: Callable[[Head, array[int]], None]) -> bytes:
    text = zlib.decompress(pack_block(BLOCK, "it")[1:])
    end = 4 + int.from_bytes(text[:4], "big")
    head, numbers = json.loads(text[4:end]), array("q", text[end:])
    change(head, numbers)
    changed = json.dumps(head).encode()
    return b"\x02" + zlib.compress(len(changed).to_bytes(4, "big") + changed + numbers.tobytes())


def drop_a_number(_: Head, numbers: array[int]) -> None:
    numbers.pop()


def add_durations(_: Head, numbers: array[int]) -> None:
    numbers.extend([5, 1])


def count_zero(_: Head, numbers: array[int]) -> None:
    numbers[1] = 0


def swap_buckets(_: Head, numbers: array[int]) -> None:
    numbers[-4], numbers[-2] = numbers[-2], numbers[-4]


def name_no_bucket(_: Head, numbers: array[int]) -> None:
    numbers[-2] = HIGHEST_BUCKET + 1


def take_more(head: Head, _: array[int]) -> None:
    head[2][0][2][1] += 1


def take_less_than_nothing(head: Head, _: array[int]) -> None:
    head[2][0][2][1] = -1


def name_an_outcome_twice(head: Head, _: array[int]) -> None:
    head[2][0][2] += ["ok", 0]


def invent_a_scope(head: Head, _: array[int]) -> None:
    head[2][0][0] = "galaxy"


def take_the_name_away(head: Head, _: array[int]) -> None:
    head[2][0][1] = None


def cut_a_series(head: Head, _: array[int]) -> None:
    head[2][0].pop()


def spoil_the_errors(head: Head, _: array[int]) -> None:
    head[2][0][3] = 0


def lose_a_lag(head: Head, _: array[int]) -> None:
    head[1].pop()


SPOILS = (
    drop_a_number, add_durations, count_zero, swap_buckets, name_no_bucket, take_more, take_less_than_nothing,
    name_an_outcome_twice, invent_a_scope, take_the_name_away, cut_a_series, spoil_the_errors, lose_a_lag,
)  # fmt: skip


@pytest.mark.parametrize("change", SPOILS, ids=lambda change: change.__name__.replace("_", " "))
def test_what_cannot_have_been_written_is_refused(change: Callable[[Head, array[int]], None]) -> None:
    with pytest.raises(StoreError, match=r"^block 7 cannot be read: .*\. It was damaged or changed"):
        unpack_block(spoiled(change), "block 7")


def test_what_spoils_nothing_is_read() -> None:
    assert unpack_block(spoiled(lambda _head, _numbers: None), "block 7") == BLOCK
