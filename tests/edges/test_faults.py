"""The fault proxy between real TCP peers: what a toxic does is seen at the sockets, and counted."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rehearse.edges.relay import HELD_BYTES
from rehearse.edges.toxics import Stream, Toxic, ToxicType
from tests.edges.peers import Bench, bench, read_all, read_exactly

UP, DOWN = Stream.UPSTREAM, Stream.DOWNSTREAM


@pytest.fixture(scope="module")
def shared() -> Iterator[Bench]:
    with bench() as made:
        yield made


@pytest.fixture
def faulty(shared: Bench) -> Iterator[Bench]:
    yield shared
    shared.proxy.clear()


def test_without_a_toxic_both_ways_are_open_and_counted(faulty: Bench) -> None:
    with faulty.pair() as (client, server):
        client.sendall(b"question")
        assert read_exactly(server, 8) == b"question"
        server.sendall(b"answer")
        assert read_exactly(client, 6) == b"answer"
        last = faulty.last()
    assert (last.received_from_client, last.passed_to_server) == (8, 8)
    assert (last.received_from_server, last.passed_to_client) == (6, 6)
    assert last.acted == ()


def test_half_close_is_kept_either_way(faulty: Bench) -> None:
    with faulty.pair() as (client, server):
        client.sendall(b"all that I have to say")
        client.shutdown(socket.SHUT_WR)
        assert read_all(server) == b"all that I have to say"
        server.sendall(b"x" * 300_000)  # long after the client's end of stream
        server.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"x" * 300_000
    with faulty.pair() as (client, server):
        server.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        client.sendall(b"still here")
        assert read_exactly(server, 10) == b"still here"


def test_a_peers_own_reset_reaches_the_other_peer(faulty: Bench) -> None:
    for resets_first in (0, 1):
        with faulty.pair() as ends:
            ends[resets_first].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            ends[resets_first].close()
            with pytest.raises(ConnectionResetError):
                ends[1 - resets_first].recv(1)


# --- each toxic


@pytest.mark.parametrize("stream", Stream)
def test_latency_delays_its_direction_and_only_that(faulty: Bench, stream: Stream) -> None:
    faulty.proxy.set(Toxic(ToxicType.LATENCY, {"latency": 150}, stream))
    with faulty.pair() as (client, server):
        up_s = time_to_pass(client, server)
        down_s = time_to_pass(server, client)
    slow_s, quick_s = (up_s, down_s) if stream is UP else (down_s, up_s)
    assert 0.15 <= slow_s < 0.4
    assert quick_s < 0.1
    assert faulty.last().acted == (f"latency_{stream}",)


def test_latency_does_not_narrow_the_line(faulty: Bench) -> None:
    """Fifty chunks with 100 ms each are late by 100 ms, not by five seconds."""
    faulty.proxy.set(Toxic(ToxicType.LATENCY, {"latency": 100, "jitter": 20}, UP))
    with faulty.pair() as (client, server):
        began = time.monotonic()
        for number in range(50):
            client.sendall(bytes([number]) * 1000)
        assert read_exactly(server, 50_000) == b"".join(bytes([number]) * 1000 for number in range(50))
        assert 0.08 <= time.monotonic() - began < 1.0


def test_bandwidth_holds_its_rate(faulty: Bench) -> None:
    faulty.proxy.set(Toxic(ToxicType.BANDWIDTH, {"rate": 400}))
    with faulty.pair() as (client, server):
        began = time.monotonic()
        threading.Thread(target=server.sendall, args=(b"y" * 200_000,), daemon=True).start()
        assert read_exactly(client, 200_000) == b"y" * 200_000
        assert 0.4 <= time.monotonic() - began < 0.9  # 200 KB at 400 KB/s, less the first piece
    assert faulty.last().acted == ("bandwidth_downstream",)


def test_slow_close_delays_the_end_of_stream_and_no_byte(faulty: Bench) -> None:
    faulty.proxy.set(Toxic(ToxicType.SLOW_CLOSE, {"delay": 200}))
    with faulty.pair() as (client, server):
        server.sendall(b"last words")
        began = time.monotonic()
        server.shutdown(socket.SHUT_WR)
        assert read_exactly(client, 10) == b"last words"
        assert time.monotonic() - began < 0.15
        assert client.recv(1) == b""
        assert 0.2 <= time.monotonic() - began < 0.5
    assert faulty.last().acted == ("slow_close_downstream",)


def test_timeout_lets_nothing_through_and_closes(faulty: Bench) -> None:
    faulty.proxy.set(Toxic(ToxicType.TIMEOUT, {"timeout": 200}))
    with faulty.pair() as (client, server):
        began = time.monotonic()
        client.sendall(b"question")
        assert read_exactly(server, 8) == b"question"
        server.sendall(b"answer")
        assert client.recv(1) == b""
        assert 0.15 <= time.monotonic() - began < 0.5
        assert server.recv(1) == b""
    last = faulty.last()
    assert last.is_lost_response
    assert last.end == "closed by timeout_downstream"


def test_timeout_of_zero_holds_until_it_is_removed_and_loses_no_byte(faulty: Bench) -> None:
    faulty.proxy.set(Toxic(ToxicType.TIMEOUT, {"timeout": 0}, UP))
    with faulty.pair() as (client, server):
        client.sendall(b"before ")
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: faulty.last().received_from_client == 7)
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.recv(1)
        assert faulty.last().acted == ("timeout_upstream",)
        faulty.proxy.clear()
        server.settimeout(5)
        assert read_all(server) == b"before "


def test_reset_peer_resets_both_peers_after_the_first_byte(faulty: Bench) -> None:
    faulty.proxy.set(Toxic(ToxicType.RESET_PEER))
    with faulty.pair() as (client, server):
        client.sendall(b"deliver this")
        assert read_exactly(server, 12) == b"deliver this"
        server.sendall(b"never seen")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionResetError):
            server.recv(1)
    last = faulty.last()
    assert last.is_lost_response
    assert (last.passed_to_server, last.received_from_server, last.passed_to_client) == (12, 10, 0)
    assert last.end == "reset by reset_peer_downstream"


def test_reset_peer_waits_as_long_as_it_is_told(faulty: Bench) -> None:
    faulty.proxy.set(Toxic(ToxicType.RESET_PEER, {"timeout": 200}, UP))
    with faulty.pair() as (client, _):
        began = time.monotonic()
        client.sendall(b"?")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert 0.2 <= time.monotonic() - began < 0.5


def test_slicer_cuts_into_small_pieces_and_changes_no_byte(faulty: Bench) -> None:
    faulty.proxy.set(Toxic(ToxicType.SLICER, {"average_size": 10, "size_variation": 5, "delay": 15_000}))
    with faulty.pair() as (client, server):
        sent = bytes(range(256))
        server.sendall(sent)
        pieces: list[bytes] = []
        while len(b"".join(pieces)) < len(sent):
            pieces.append(client.recv(4096))
        assert b"".join(pieces) == sent
        assert len(pieces) >= 8  # a busy machine may read two at once
        assert min(map(len, pieces)) <= 15
    assert faulty.last().acted == ("slicer_downstream",)


def test_limit_data_passes_exactly_so_many_bytes_and_closes(faulty: Bench) -> None:
    faulty.proxy.set(Toxic(ToxicType.LIMIT_DATA, {"bytes": 100}))
    with faulty.pair() as (client, server):
        server.sendall(b"a" * 60)
        server.sendall(b"b" * 60)
        assert read_all(client) == b"a" * 60 + b"b" * 40
    last = faulty.last()
    assert (last.received_from_server, last.passed_to_client) in {(120, 100), (60, 100)}
    assert last.end == "closed by limit_data_downstream"


def test_limit_data_of_zero_closes_at_the_first_byte_and_passes_none(faulty: Bench) -> None:
    faulty.proxy.set(Toxic(ToxicType.LIMIT_DATA, {"bytes": 0}))
    with faulty.pair() as (client, server):
        client.sendall(b"order")
        assert read_exactly(server, 5) == b"order"
        server.sendall(b"done")
        assert client.recv(1) == b""
    assert faulty.last().is_lost_response


def test_down_refuses_and_closes_what_is_open_and_comes_back_on_the_same_port(faulty: Bench) -> None:
    with faulty.pair() as (client, server):
        counters = faulty.proxy.set(Toxic(ToxicType.DOWN))
        assert client.recv(1) == b""
        assert server.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        faulty.client()
    assert counters.acted("down_downstream") >= 1
    faulty.proxy.clear()
    with faulty.pair() as (client, server):
        client.sendall(b"back")
        assert read_exactly(server, 4) == b"back"


def test_refuse_refuses_the_new_and_leaves_the_old(faulty: Bench) -> None:
    with faulty.pair() as (client, server):
        counters = faulty.proxy.set(Toxic(ToxicType.REFUSE))
        with pytest.raises(ConnectionRefusedError):
            faulty.client()
        client.sendall(b"still open")
        assert read_exactly(server, 10) == b"still open"
    assert counters.acted("refuse_downstream") == 1


def test_accept_then_hang_accepts_and_says_nothing_until_it_is_removed(faulty: Bench) -> None:
    faulty.proxy.set(Toxic(ToxicType.ACCEPT_THEN_HANG))
    with faulty.client() as client:
        client.sendall(b"anybody?")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert faulty.last().acted == ("accept_then_hang_downstream",)
        faulty.listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            faulty.listener.accept()
        faulty.listener.settimeout(10)
        faulty.proxy.clear()
        server, _ = faulty.listener.accept()
        with server:
            assert read_exactly(server, 8) == b"anybody?"


def test_toxicity_hits_its_share_of_connections_and_leaves_the_others_alone(faulty: Bench) -> None:
    earlier = faulty.proxy.set(Toxic(ToxicType.RESET_PEER, stream=UP, toxicity=0.5))
    resets = 0
    for _ in range(40):
        with faulty.pair() as (client, server):
            client.sendall(b"ping")
            try:
                server.sendall(b"pong") if read_exactly(server, 4) == b"ping" else None
                assert read_exactly(client, 4) == b"pong"
            except ConnectionResetError:
                resets += 1
    acted = [one for one in faulty.proxy.counters().after(earlier) if one.acted]
    assert len(acted) == resets
    assert 8 <= resets <= 32


def test_a_toxic_reaches_connections_that_are_open_already(faulty: Bench) -> None:
    with faulty.pair() as (client, server):
        assert time_to_pass(client, server) < 0.1
        faulty.proxy.set(Toxic(ToxicType.LATENCY, {"latency": 150}, UP))
        assert time_to_pass(client, server) >= 0.15
        faulty.proxy.clear()
        assert time_to_pass(client, server) < 0.1


def test_a_toxic_that_never_acted_is_counted_as_nothing(faulty: Bench) -> None:
    counters = faulty.proxy.set(Toxic(ToxicType.RESET_PEER, name="unused"))
    assert counters.acted("unused") == 0
    with faulty.pair():
        pass
    assert faulty.proxy.counters().acted("unused") == 0


# --- what no toxic may change

HARMLESS = st.lists(
    st.sampled_from(
        [
            Toxic(ToxicType.LATENCY, {"latency": 5, "jitter": 10}, UP, name="a"),
            Toxic(ToxicType.LATENCY, {"latency": 5, "jitter": 5}, DOWN, name="b"),
            Toxic(ToxicType.SLICER, {"average_size": 700, "size_variation": 600, "delay": 10}, UP, name="c"),
            Toxic(ToxicType.SLICER, {"average_size": 3000, "delay": 10}, DOWN, name="d"),
            Toxic(ToxicType.BANDWIDTH, {"rate": 4000}, UP, name="e"),
            Toxic(ToxicType.SLOW_CLOSE, {"delay": 20}, DOWN, name="f"),
            Toxic(ToxicType.LATENCY, {"latency": 20}, UP, 0.5, name="g"),
        ]
    ),
    unique_by=lambda toxic: toxic.name,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(toxics=HARMLESS, seed=st.integers(0, 10_000), is_changed_midway=st.booleans())
def test_both_streams_arrive_byte_for_byte(
    faulty: Bench, toxics: list[Toxic], seed: int, is_changed_midway: bool
) -> None:
    rng = Random(seed)
    faulty.proxy.set(*toxics)
    sent = [rng.randbytes(rng.randint(1, 400_000)) for _ in range(2)]
    with faulty.pair() as ends:
        senders = [
            threading.Thread(target=send_in_chunks, args=(end, data, seed))
            for end, data in zip(ends, sent, strict=True)
        ]
        received: dict[int, bytes] = {}
        readers = [
            threading.Thread(target=lambda number=number: received.update({number: read_all(ends[number])}))
            for number in range(2)
        ]
        for thread in (*senders, *readers):
            thread.start()
        if is_changed_midway:
            faulty.proxy.set(Toxic(ToxicType.TIMEOUT, {"timeout": 0}, UP, name="pause"))
            faulty.proxy.set(*reversed(toxics))
        for thread in (*senders, *readers):
            thread.join(20)
    assert received[1] == sent[0]
    assert received[0] == sent[1]


def test_what_nobody_reads_is_held_back_and_not_collected(faulty: Bench) -> None:
    """The proxy's memory is bounded: a sender is slowed down by TCP itself, and nothing is lost by that."""
    faulty.proxy.set(Toxic(ToxicType.TIMEOUT, {"timeout": 0}, UP))
    data = Random(1).randbytes(24_000_000)
    with faulty.pair() as (client, server):
        sender = threading.Thread(target=client.sendall, args=(data,), daemon=True)
        sender.start()
        wait_until(lambda: faulty.last().received_from_client >= HELD_BYTES)
        sender.join(0.3)
        assert sender.is_alive(), "somebody keeps 24 MB"
        assert faulty.last().received_from_client <= 2 * HELD_BYTES + 65536
        faulty.proxy.clear()
        assert read_exactly(server, len(data)) == data


def time_to_pass(sender: socket.socket, receiver: socket.socket) -> float:
    began = time.monotonic()
    sender.sendall(b"x")
    assert read_exactly(receiver, 1) == b"x"
    return time.monotonic() - began


def send_in_chunks(end: socket.socket, data: bytes, seed: int) -> None:
    rng = Random(seed)
    while data:
        size = rng.choice([1, 100, 1460, 65_536])
        end.sendall(data[:size])
        data = data[size:]
    end.shutdown(socket.SHUT_WR)


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
