"""The proxy as a process: who may start it where, what stops it, how much it holds, and protocols through it."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from rehearse.edges.orders import ConnectionCount, Counters, ProxyOrder
from rehearse.edges.proxy import FaultInjector, FaultProxy, ScriptedFaultInjector
from rehearse.edges.relay import HttpRequests
from rehearse.edges.toxics import Stream, Toxic, ToxicType
from rehearse.errors import ConfigError, NotReady, TargetRefused
from tests.edges.peers import bench, read_exactly
from tests.servers import serving

ROOT = Path(__file__).resolve().parents[2]


def order(port: int, **changes: object) -> ProxyOrder:
    return replace(ProxyOrder("127.0.0.1", port, allow=("127.0.0.1",)), **changes)  # type: ignore[arg-type]


# --- where it may stand


def test_an_upstream_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(TargetRefused, match=r"192\.0\.2\.1"):
        FaultProxy(order(80, upstream_host="192.0.2.1"))


def test_a_name_that_leads_to_an_address_of_production_is_refused_when_it_is_connected_to() -> None:
    wrong = order(9, upstream_host="localhost", allow=("localhost",), production=("127.0.0.1", "::1"))
    with FaultProxy(wrong) as proxy:
        with (
            socket.create_connection(proxy.address, timeout=5) as client,
            pytest.raises(ConnectionResetError),
        ):
            client.recv(1)
        with pytest.raises(TargetRefused, match="production"):
            proxy.counters()


def test_listening_beyond_loopback_must_be_asked_for() -> None:
    with pytest.raises(ConfigError, match="may_listen_beyond_loopback"):
        FaultProxy(order(80, listen_host="0.0.0.0"))
    with FaultProxy(order(80, listen_host="0.0.0.0", may_listen_beyond_loopback=True)) as proxy:
        assert proxy.address[0] == "0.0.0.0"


def test_a_port_that_is_taken_is_said_and_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NotReady, match="in use"):
            FaultProxy(order(80, listen_port=port))


def test_more_connections_than_there_are_descriptors_for_are_refused_beforehand() -> None:
    with pytest.raises(ConfigError, match="lower max_connections"):
        FaultProxy(order(80, max_connections=50_000_000))


def test_a_server_that_is_not_there_resets_the_client_and_is_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with FaultProxy(order(port)) as proxy:
        with (
            socket.create_connection(proxy.address, timeout=5) as client,
            pytest.raises(ConnectionResetError),
        ):
            client.recv(1)
        assert proxy.counters().upstream_failed == 1


def test_a_mistake_in_a_toxic_is_told_and_the_proxy_lives_on() -> None:
    with bench() as made:
        with pytest.raises(ConfigError, match="two toxics"):
            made.proxy.set(Toxic(ToxicType.DOWN), Toxic(ToxicType.DOWN))
        with made.pair() as (client, server):
            client.sendall(b"x")
            assert read_exactly(server, 1) == b"x"


# --- how much, and how it ends


def test_a_thousand_connections_are_held_and_each_keeps_its_own_bytes() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with ExitStack() as open_ones, bench() as made:
        pairs = [open_ones.enter_context(made.pair()) for _ in range(1000)]
        assert made.proxy.counters().open == 1000
        for number, (client, _) in enumerate(pairs):
            client.sendall(number.to_bytes(2, "big"))
        for number, (client, server) in enumerate(pairs):
            assert read_exactly(server, 2) == number.to_bytes(2, "big")
            server.sendall(b"got %4d" % number)
            assert read_exactly(client, 8) == b"got %4d" % number
        counters = made.proxy.counters()
        assert (counters.bytes_upstream, counters.bytes_downstream) == (2000, 8000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_beyond_its_limit_a_client_is_turned_away_and_counted() -> None:
    with bench(max_connections=2) as made, made.pair(), made.pair():
        with made.client() as third, pytest.raises(ConnectionResetError):
            third.recv(1)
        counters = made.proxy.counters()
        assert (counters.open, counters.turned_away) == (2, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_all_its_connections_and_a_last_account(number: signal.Signals) -> None:
    with bench() as made:
        with made.pair() as (client, server):
            client.sendall(b"x")
            assert read_exactly(server, 1) == b"x"
            os.kill(made.proxy.process_id, number)
            for end in (client, server):
                with pytest.raises(ConnectionResetError):
                    end.recv(1)
        with pytest.raises(ConnectionRefusedError):
            made.client()
        made.proxy.close()
        assert made.proxy.counters().bytes_upstream == 1


def test_it_ends_when_the_one_who_started_it_is_killed() -> None:
    program = (
        "import time\nfrom rehearse.edges.proxy import FaultProxy\nfrom rehearse.edges.orders import ProxyOrder\n"
        "proxy = FaultProxy(ProxyOrder('127.0.0.1', 9, allow=('127.0.0.1',)))\n"
        "print(*proxy.address, flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    host, port = parent.stdout.readline().decode().split()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            pass
        assert time.monotonic() < deadline, "the proxy outlived the one who started it"
        time.sleep(0.02)


def test_a_proxy_that_died_is_not_evidence() -> None:
    with bench() as made:
        os.kill(made.proxy.process_id, signal.SIGKILL)
        with pytest.raises(NotReady, match="not known"):
            made.proxy.counters()


# --- protocols through it


def test_http_goes_through_on_a_kept_connection_and_is_slowed_on_request() -> None:
    with serving() as site, FaultProxy(order(site.port)) as proxy:
        with httpx.Client(base_url="http://{}:{}".format(*proxy.address)) as client:
            assert [client.get(f"/{number}").status_code for number in range(5)] == [200] * 5
            proxy.set(Toxic(ToxicType.LATENCY, {"latency": 120}))
            began = time.monotonic()
            assert client.post("/slow", content=b"z" * 100_000).json() == {"version": "1.0"}
            assert time.monotonic() - began >= 0.12
            proxy.set(Toxic(ToxicType.RESET_PEER))
            with pytest.raises(httpx.ReadError):
                client.get("/lost")
        assert site.requests[-1] == "GET /lost"
        assert proxy.counters().accepted == site.connections == 1


def test_postgresql_goes_through_and_its_loss_is_the_clients_error(postgres_url: str) -> None:
    url = make_url(postgres_url)
    assert url.port is not None
    with FaultProxy(order(url.port)) as proxy:
        host, port = proxy.address
        connection = psycopg.connect(
            host=host,
            port=port,
            user=url.username,
            password=url.password,
            dbname=url.database,
            autocommit=True,
        )
        with connection:
            rows = connection.execute(
                "SELECT i, repeat('r', 1000) FROM generate_series(1, 5000) i"
            ).fetchall()
            assert len(rows) == 5000
            assert {len(text) for _, text in rows} == {1000}
            proxy.set(
                Toxic(ToxicType.SLICER, {"average_size": 500, "delay": 1}),
                Toxic(ToxicType.LATENCY, {"latency": 30}, Stream.UPSTREAM),
            )
            assert connection.execute("SELECT sum(i) FROM generate_series(1, 100) i").fetchone() == (5050,)
            connection.execute("CREATE TABLE effects (id int)")
            proxy.set(Toxic(ToxicType.RESET_PEER))
            with pytest.raises(psycopg.OperationalError):
                connection.execute("INSERT INTO effects VALUES (1)")
        assert proxy.counters().acted("reset_peer_downstream") == 1
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as direct:
        assert direct.execute("SELECT count(*) FROM effects").fetchone() == (1,)


# --- what it tells


def test_a_lost_response_is_one_that_was_asked_for_answered_and_never_seen() -> None:
    lost = ConnectionCount(0, 100, 100, 50, 0)
    assert lost.is_lost_response
    never_asked, half_asked = ConnectionCount(0, 0, 0, 50, 0), ConnectionCount(0, 100, 60, 50, 0)
    never_answered, partly_seen = ConnectionCount(0, 100, 100, 0, 0), ConnectionCount(0, 100, 100, 50, 1)
    assert not any(one.is_lost_response for one in (never_asked, half_asked, never_answered, partly_seen))


def test_connections_since_a_moment_are_told_apart_by_their_number() -> None:
    before = Counters(accepted=2)
    now = Counters(accepted=4, connections=tuple(ConnectionCount(number) for number in range(4)))
    assert [one.number for one in now.after(before)] == [2, 3]


def test_the_fake_remembers_what_was_set_and_plays_its_counters() -> None:
    def use(injector: FaultInjector) -> list[int]:
        with injector:
            return [
                injector.set(Toxic(ToxicType.DOWN)).accepted,
                injector.clear().accepted,
                injector.counters().accepted,
            ]

    fake = ScriptedFaultInjector([Counters(accepted=1), Counters(accepted=5)])
    assert use(fake) == [1, 5, 5]
    assert [[toxic.type for toxic in toxics] for toxics in fake.applied] == [[ToxicType.DOWN], []]


def test_two_threads_may_ask_at_the_same_time() -> None:
    with bench() as made:
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.extend(made.proxy.counters().accepted for _ in range(20)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert found == [0] * 80


# --- requests, where connections are kept


def test_requests_on_a_kept_connection_are_counted_one_by_one() -> None:
    with serving() as site, FaultProxy(order(site.port)) as proxy:
        before = proxy.counters()
        with httpx.Client(base_url=f"http://127.0.0.1:{proxy.address[1]}", trust_env=False) as client:
            for _ in range(5):
                client.get("/x")
        seen = proxy.counters()
    assert (seen.accepted, seen.http_requests, seen.attempts_since(before)) == (1, 5, 5)


def test_connections_without_a_request_are_attempts_too() -> None:
    with bench() as made:
        before = made.proxy.counters()
        with made.pair(), made.pair():
            assert made.proxy.counters().attempts_since(before) == 2


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_request_line_that_comes_in_two_pieces_is_counted_once(cut: int) -> None:
    message = b"GET /look HTTP/1.1\r\nVia: HTTP/1.1 x\r\n\r\nGET / HTTP/1.0\r\n\r\n"
    requests = HttpRequests()
    requests.see(message[:cut])
    requests.see(message[cut:])
    assert requests.count == 2


def test_what_does_not_begin_as_a_request_is_none() -> None:
    requests = HttpRequests()
    requests.see(b"\x16\x03\x01 HTTP/1.1\r\n")
    requests.see(b"GET / HTTP/1.1\r\n\r\n")
    assert requests.count == 0


def test_request_lines_that_come_byte_by_byte_are_counted_once() -> None:
    requests = HttpRequests()
    for byte in b"GET / HTTP/1.1\r\n\r\n" * 3:
        requests.see(bytes([byte]))
    assert requests.count == 3
