"""The fault proxy: a process of its own between a client and a server, told by lines of JSON what to do to their bytes.

    python -m rehearse.edges.faults

The first line of stdin is a ProxyOrder, each later one a command: {"id": 1, "set": [toxics]} or {"id": 2}, both
answered by {"id", "counters"}. When stdin ends, `rehearse` is gone, and the proxy ends with all its connections.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
from collections import Counter, deque

from rehearse.allowlist import AllowList, install_socket_guard, is_loopback
from rehearse.codec import from_jsonable, to_jsonable
from rehearse.edges.connection import Connection
from rehearse.edges.orders import FINISHED_KEPT, ConnectionCount, Counters, ProxyOrder
from rehearse.edges.relay import reset_on_close
from rehearse.edges.toxics import AT_THE_DOOR, Toxic, ToxicType, read_toxic, unique
from rehearse.errors import ConfigError, RehearseError
from rehearse.told_by_lines import Answers, run_told

CONNECT_TIMEOUT_S = 10.0
_BACKLOG = 1024
_SPARE_DESCRIPTORS = 64
_NO_DESCRIPTOR_S = 0.05  # accepting again at once would turn in circles


class Door:
    """The listening socket. Closed, its port stays taken: clients are refused, and nobody else can open it."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._family = family
        self._keeper = self._bound((host, port))  # never listens
        self.address: tuple[str, int] = self._keeper.getsockname()[:2]
        self._listener: socket.socket | None = None

    @property
    def listener(self) -> socket.socket | None:
        """None while it is closed."""
        return self._listener

    def open(self) -> None:
        """Let clients in."""
        if self._listener is None:
            self._listener = self._bound(self.address)
            self._listener.listen(_BACKLOG)

    def close(self) -> None:
        """Refuse clients."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def refuses(self) -> bool:
        """Whether a client is refused now: seen, not supposed."""
        with socket.socket(self._family) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(self.address)
            except ConnectionRefusedError:
                return True
            except OSError:
                return False
        return False

    def release(self) -> None:
        """Give the port back."""
        self.close()
        self._keeper.close()

    def _bound(self, address: tuple[str, int]) -> socket.socket:
        made = socket.socket(self._family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind(address)
        return made


class Proxy:
    """Accepts, connects, relays, counts."""

    def __init__(self, order: ProxyOrder) -> None:
        self._order = order
        self._loop = asyncio.get_running_loop()
        self.door = Door(order.listen_host, order.listen_port)
        self._toxics: tuple[Toxic, ...] = ()
        self._changed = asyncio.Event()  # replaced by a new one with every change
        self._live: dict[int, Connection] = {}
        self._finished: deque[ConnectionCount] = deque(maxlen=FINISHED_KEPT)
        self._bytes = [0, 0]  # of those finished
        self._http_requests = 0  # the same
        self._injected: Counter[str] = Counter()
        self._accepted = self._turned_away = self._upstream_failed = 0
        self._arriving: set[asyncio.Task[None]] = set()

    def set_toxics(self, toxics: tuple[Toxic, ...]) -> None:
        """From now on these, and no others, are in force: on connections under way, too."""
        self._toxics = toxics
        self._set_door()
        for connection in list(self._live.values()):
            connection.apply(toxics)
        self._changed.set()
        self._changed = asyncio.Event()

    def counters(self) -> Counters:
        """What was seen so far."""
        live = [connection.count() for connection in self._live.values()]
        return Counters(
            accepted=self._accepted,
            open=len(live),
            turned_away=self._turned_away,
            upstream_failed=self._upstream_failed,
            bytes_upstream=self._bytes[0] + sum(one.passed_to_server for one in live),
            bytes_downstream=self._bytes[1] + sum(one.passed_to_client for one in live),
            http_requests=self._http_requests + sum(one.http_requests for one in live),
            injected=dict(self._injected),
            connections=(*self._finished, *live),
        )

    def stop(self) -> None:
        """End every connection and give the port back."""
        self._close_door()
        for task in self._arriving:
            task.cancel()
        for connection in list(self._live.values()):
            connection.abort("the proxy was stopped")
        self.door.release()

    def _set_door(self) -> None:
        closing = [toxic for toxic in self._toxics if toxic.type in AT_THE_DOOR]
        if not closing:
            self.door.open()
            self._watch_door()
            return
        self._close_door()
        if self.door.refuses():
            self._injected.update(toxic.name for toxic in closing)
        for toxic in closing:
            if toxic.type is ToxicType.DOWN:
                for connection in list(self._live.values()):
                    connection.cut(toxic.name)

    def _watch_door(self) -> None:
        if self.door.listener is not None:
            self._loop.add_reader(self.door.listener, self._let_in)

    def _close_door(self) -> None:
        if self.door.listener is not None:
            self._loop.remove_reader(self.door.listener)
            self.door.close()

    def _let_in(self) -> None:
        """Everybody who waits at the door."""
        while (listener := self.door.listener) is not None:
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError:  # no descriptor left: the reader would call again at once
                self._loop.remove_reader(listener)
                self._loop.call_later(_NO_DESCRIPTOR_S, self._watch_door)
                return
            client.setblocking(False)
            self._admit(client)

    def _admit(self, client: socket.socket) -> None:
        number = self._accepted
        self._accepted += 1
        if len(self._live) >= self._order.max_connections:
            self._turned_away += 1
            self._turn_out(client)
            return
        connection = Connection(number, self._order.seed, self._count, self._finish)
        self._live[number] = connection
        connection.apply(self._toxics)
        task = self._loop.create_task(self._arrive(connection, client))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _arrive(self, connection: Connection, client: socket.socket) -> None:
        """Join a client that was let in with the server; until that has worked, `client` is ours to close."""
        order = self._order
        try:
            await self._hang(connection)
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._loop.create_connection(
                    lambda: connection.server, order.upstream_host, order.upstream_port
                )
            await self._loop.connect_accepted_socket(lambda: connection.client, client)
        except (OSError, RehearseError) as error:  # TimeoutError is an OSError
            self._upstream_failed += 1
            connection.abort(f"the server could not be reached: {type(error).__name__}")
            self._turn_out(client)
        except asyncio.CancelledError:
            connection.abort("the proxy was stopped")
            self._turn_out(client)
            raise

    async def _hang(self, connection: Connection) -> None:
        """Accepted, and then nothing, for as long as a toxic says so."""
        while True:
            hanging = [
                toxic for toxic in connection.hit_by(self._toxics) if toxic.type is ToxicType.ACCEPT_THEN_HANG
            ]
            if not hanging:
                return
            for toxic in hanging:
                connection.act(toxic.name)
            await self._changed.wait()

    @staticmethod
    def _turn_out(client: socket.socket) -> None:
        reset_on_close(client)
        client.close()

    def _count(self, name: str) -> None:
        self._injected[name] += 1

    def _finish(self, connection: Connection) -> None:
        if self._live.pop(connection.number, None) is not None:
            count = connection.count()
            self._finished.append(count)  # and not the connection: it may hold bytes
            self._bytes[0] += count.passed_to_server
            self._bytes[1] += count.passed_to_client
            self._http_requests += count.http_requests


# --- the process


def check_order(order: ProxyOrder, allow_list: AllowList) -> None:
    """Raise unless the proxy may stand there. Raises ConfigError and TargetRefused."""
    allow_list.check_host(order.upstream_host, order.upstream_port)
    if not order.may_listen_beyond_loopback and not is_loopback(order.listen_host):
        raise ConfigError(
            f"the fault proxy would listen on {order.listen_host!r}, where others can reach the target through it;"
            " leave it on 127.0.0.1, or say may_listen_beyond_loopback"
        )
    if order.max_connections < 1:
        raise ConfigError(f"max_connections must be 1 or more, it is {order.max_connections}.")
    _raise_descriptor_limit(2 * order.max_connections + _SPARE_DESCRIPTORS)


def _raise_descriptor_limit(needed: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"the fault proxy needs {needed} open files for its connections and the limit is {hard};"
            " raise it (ulimit -n), or lower max_connections"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _obey(line: bytes, answers: Answers, proxy: Proxy) -> None:
    """Carry out one command and answer it."""
    try:
        command = json.loads(line)
        if "set" in command:
            proxy.set_toxics(unique(read_toxic(data) for data in command["set"]))
    except (ValueError, ConfigError) as error:
        answers.tell({"failed": str(error)})
        return
    answers.tell({"id": command.get("id"), "counters": to_jsonable(proxy.counters())})


async def _serve(reader: asyncio.StreamReader, answers: Answers) -> None:
    order = from_jsonable(ProxyOrder, json.loads(await reader.readline()))
    allow_list = AllowList(order.allow, order.production)
    check_order(order, allow_list)
    proxy = Proxy(order)
    # The guard sees every connection, so that a name that comes to mean another machine is refused as well.
    install_socket_guard(allow_list, lambda message: answers.tell({"refused": message}), [proxy.door.address])
    proxy.set_toxics(())
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    answers.tell({"ready": list(proxy.door.address)})
    obeying = asyncio.create_task(_obey_all(reader, answers, proxy))
    obeying.add_done_callback(lambda _: stopped.set())
    await stopped.wait()
    obeying.cancel()
    proxy.stop()
    await asyncio.sleep(0)  # what was aborted is closed in the loop's next turn
    answers.tell({"final": to_jsonable(proxy.counters())})


async def _obey_all(reader: asyncio.StreamReader, answers: Answers, proxy: Proxy) -> None:
    while line := await reader.readline():
        _obey(line, answers, proxy)


def main() -> None:
    """Serve until stdin ends or a signal comes."""
    run_told(_serve)


if __name__ == "__main__":
    main()
