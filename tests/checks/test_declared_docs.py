"""docs/declared-checks.md is true: its examples hold on what is right, fail on what is broken, and name every key."""

from __future__ import annotations

import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from rehearse.allowlist import AllowList
from rehearse.checks.context import CheckedSide
from rehearse.checks.declaration import DeclaredCheck
from rehearse.checks.probes.command import CommandProbe
from rehearse.checks.probes.file import FileProbe
from rehearse.checks.probes.http import HttpProbe
from rehearse.checks.probes.reach import place_of
from rehearse.checks.probes.sql import SqlProbe
from rehearse.checks.probes.tcp import TcpProbe
from rehearse.checks.probes.tls import TlsProbe
from rehearse.checks.reference import tables
from rehearse.databases import engine_to, read_database_url, way_to
from rehearse.model import Side
from tests.checks.certificates import certificate
from tests.checks.declaring import read
from tests.servers import playing, serving

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "declared-checks.md").read_text(encoding="utf-8")
EXAMPLES = "\n".join(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
ALLOW_LIST = AllowList(("127.0.0.1",))

RIGHT = b'{"total": 10.5, "lines": [{"price": 1}, {"price": 2.5}]}'
BROKEN = b'{"total": "10.50", "lines": [{"price": 1}, {"price": 2.5}]}'


def answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nContent-Type: application/json\r\n"
    return f"{head}Cache-Control: no-store\r\n\r\n".encode() + body


DATABASES = {
    True: """
        create table orders (id, customer_id); insert into orders values (1, 7);
        create table order_totals (order_id, total); insert into order_totals values (1, 30.5);
    """,
    False: """
        create table orders (id, customer_id); insert into orders values (1, null);
        create table order_totals (order_id, total, tax); insert into order_totals values (1, 30, 0);
    """,
}


def make_database(path: Path, is_right: bool) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DATABASES[is_right])


def make_files(folder: Path, is_right: bool) -> None:
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text('{"mode": "strict"}' if is_right else '{"mode": "lax"}')
    (folder / "settings.json").chmod(0o640)
    if not is_right:
        (folder / ".lock").touch()


def greet(relay: socket.socket, words: bytes) -> None:
    """Say these words to the first that comes."""
    try:
        connection, _ = relay.accept()
    except OSError:
        return  # nobody came
    with connection:
        connection.sendall(words)


class World:
    """Everything that the examples ask: as they want it, or broken."""

    def __init__(self, folder: Path, is_right: bool) -> None:
        self._folder, self._open = folder, ExitStack()
        cert, key = certificate(folder, days=30 if is_right else 7)
        cert.rename(folder / "ca.pem")
        make_database(folder / "shop.db", is_right)
        make_files(folder / "deploy" / "candidate", is_right)
        enter = self._open.enter_context
        self._shop = enter(playing([answer(RIGHT if is_right else BROKEN)]))
        self._secure = enter(serving(certificate=(folder / "ca.pem", key)))
        relay = enter(socket.create_server(("127.0.0.1", 0)))
        self.relay_port = relay.getsockname()[1]
        self.debugger_port = self._closed_port() if is_right else self._secure.port
        words = b"220 ready" if is_right else b"554 no"
        threading.Thread(target=greet, args=(relay, words), daemon=True).start()

    def _closed_port(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            found: int = listener.getsockname()[1]
            return found

    def close(self) -> None:
        self._open.close()

    def complaints(self, check: DeclaredCheck) -> list[str]:
        side = CheckedSide(Side.CANDIDATE, "candidate", self._shop.url)
        match check.probe:
            case HttpProbe() as probe:
                with httpx.Client(base_url=self._shop.url, trust_env=False) as client:
                    return list(probe.complaints(client))
            case SqlProbe() as probe:
                way = way_to(read_database_url(f"sqlite:///{self._folder / 'shop.db'}"), ALLOW_LIST)
                return list(probe.complaints(engine_to(way, 5.0, side_effects=False)))
            case TcpProbe() as probe:
                return list(probe.complaints(place_of(side, probe.host, probe.port, ALLOW_LIST)))
            case TlsProbe() as probe:
                named = probe.model_copy(update={"host": self._secure.host, "port": self._secure.port})
                return list(named.complaints(place_of(side, named.host, named.port, ALLOW_LIST)))
            case (CommandProbe() | FileProbe()) as probe:
                return list(probe.complaints(side, self._folder))


@pytest.fixture
def right(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, is_right=True)
    yield world
    world.close()


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, is_right=False)
    yield world
    world.close()


def examples(folder: Path, world: World) -> tuple[DeclaredCheck, ...]:
    text = EXAMPLES.replace("port = 2525", f"port = {world.relay_port}")
    return read(folder, text.replace("port = 5678", f"port = {world.debugger_port}"))


def test_every_example_holds_on_what_is_right(tmp_path: Path, right: World) -> None:
    checks = examples(tmp_path, right)
    assert {check.id: right.complaints(check) for check in checks} == {check.id: [] for check in checks}
    assert {type(check.probe) for check in checks} == {
        HttpProbe,
        SqlProbe,
        TcpProbe,
        TlsProbe,
        CommandProbe,
        FileProbe,
    }


def test_every_example_fails_on_what_is_broken(tmp_path: Path, broken: World) -> None:
    """All but the command, which asks this machine's own Python."""
    checks = [check for check in examples(tmp_path, broken) if check.command is None]
    assert [check.id for check in checks if not broken.complaints(check)] == []


def test_the_page_shows_the_sentence_that_the_first_example_fails_with(tmp_path: Path, broken: World) -> None:
    first = examples(tmp_path, broken)[0]
    assert first.http is not None
    (complaint,) = broken.complaints(first)
    assert f"{first.http.what}: {complaint}" in PAGE


def test_every_key_is_on_the_page() -> None:
    """python -m rehearse.checks.reference docs/declared-checks.md"""
    assert tables() in PAGE
