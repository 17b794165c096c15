"""The guard in a real process, against real servers on forbidden addresses, which must see nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest


@dataclass
class Listener:
    """A real HTTP server that counts connections and redirects `/to?URL`."""

    server: ThreadingHTTPServer
    connections: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])


class Answers(BaseHTTPRequestHandler):
    """`/to?URL` redirects there; everything else is 200."""

    def do_GET(self) -> None:
        _, _, location = self.path.partition("?")
        self.send_response(302 if location else 200)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def listening(host: str) -> Iterator[Listener]:
    """A server on `host`, which may be an IPv6 address."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
        daemon_threads = True

        def verify_request(self, request: object, client_address: object) -> bool:
            listener.connections.append(str(client_address))
            return True

    server = Server((host, 0), Answers)
    listener = Listener(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Servers:
    allowed: Listener
    forbidden: Listener
    forbidden_v6: Listener


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with (
        listening("127.0.0.1") as allowed,
        listening("127.0.0.2") as forbidden,
        listening("::1") as forbidden_v6,
    ):
        yield Servers(allowed, forbidden, forbidden_v6)


CHILD = """
import json, sys
order = json.loads(sys.argv[1])
if order["client"] in ("requests", "fasthttp", "geventhttpclient"):
    import locust  # patches the process with gevent
    from gevent.monkey import is_module_patched
    assert is_module_patched("socket")
from rehearse.allowlist import AllowList, install_socket_guard, system_resolve
from rehearse.errors import TargetRefused

def by_requests():
    import requests
    return lambda url: requests.get(url, timeout=5).status_code

def by_fasthttp():
    from locust import FastHttpUser
    from locust.env import Environment
    FastHttpUser.host = order["base"]
    user = FastHttpUser(Environment())
    return lambda url: user.client.get(url).status_code

def by_geventhttpclient():
    from geventhttpclient.useragent import UserAgent
    agent = UserAgent()
    return lambda url: agent.urlopen(url).status_code

def by_httpx():
    import httpx
    return lambda url: httpx.get(url, follow_redirects=True).status_code

def by_urllib():
    import urllib.request
    return lambda url: urllib.request.urlopen(url, timeout=5).status

def by_sockets():
    import socket
    def call(words):
        kind, method, host, port = words.split()
        sock = socket.socket(type=getattr(socket, kind))
        where = (host, int(port))
        if method.startswith("connect"):
            return getattr(sock, method)(where)
        return sock.sendto(b"x", where) if method == "sendto" else sock.sendmsg([b"x"], [], 0, where)
    return call

def answer(call, url):
    try:
        return str(call(url))
    except Exception as error:
        while error and not isinstance(error, TargetRefused):
            error = error.__cause__ or error.__context__
        return type(error).__name__

call = globals()["by_" + order["client"]]()
told = []
names = order["names"]
resolve = (lambda name: names.get(name, ())) if names else system_resolve
exempt = [tuple(pair) for pair in order["exempt"]]
allow_list = AllowList(tuple(order["allow"]), tuple(order["production"]))
install_socket_guard(allow_list, told.append, exempt, resolve)
print(json.dumps([[answer(call, url) for url in order["urls"]], told]))
"""


def guarded(
    client: str,
    urls: Sequence[str],
    allow: Sequence[str] = ("127.0.0.1",),
    production: Sequence[str] = (),
    names: dict[str, list[str]] | None = None,
    exempt: Sequence[tuple[str, int]] = (),
    **environment: str,
) -> tuple[list[str], list[str]]:
    """What each url came to in a process with the guard in it, and what `on_refusal` was told."""
    order: dict[str, object] = {"client": client, "base": urls[0], "urls": urls, "allow": allow}
    order |= {"production": production, "names": names or {}, "exempt": exempt}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, json.dumps(order)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **environment,
        },
    )
    assert done.returncode == 0, done.stderr
    answers, told = json.loads(done.stdout.splitlines()[-1])
    return answers, told


@pytest.fixture
def seen_nothing(servers: Servers) -> Iterator[None]:
    """The servers on forbidden addresses listen, and no connection reaches them."""
    yield
    assert servers.forbidden.connections == []
    assert servers.forbidden_v6.connections == []


CLIENTS = ["requests", "fasthttp", "geventhttpclient", "httpx", "urllib"]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.usefixtures("seen_nothing")
def test_no_way_of_asking_reaches_a_forbidden_server(client: str, servers: Servers) -> None:
    allowed, forbidden, v6 = servers.allowed.port, servers.forbidden.port, servers.forbidden_v6.port
    urls = [
        f"http://127.0.0.1:{allowed}/",
        f"http://127.0.0.2:{forbidden}/",
        f"http://127.0.0.1:{allowed}/to?http://127.0.0.2:{forbidden}/",
        f"http://[::1]:{v6}/",
        f"http://localhost:{allowed}/",
        f"http://[::ffff:127.0.0.2]:{forbidden}/",
    ]
    answers, told = guarded(client, urls)
    assert answers == ["200", *["TargetRefused"] * 5]
    for host in ("127.0.0.2", "::1", "localhost"):
        assert any(f'add "{host}" to safety.allow' in message for message in told)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_listed_name_is_reached_as_if_there_were_no_guard(client: str, servers: Servers) -> None:
    url = f"http://localhost:{servers.allowed.port}/"
    assert guarded(client, [url, url], allow=["localhost"]) == (["200", "200"], [])


@pytest.mark.parametrize("client", CLIENTS)
def test_a_listed_name_whose_address_has_moved_is_refused(client: str, servers: Servers) -> None:
    before = len(servers.allowed.connections)
    url = f"http://localhost:{servers.allowed.port}/"
    answers, told = guarded(client, [url], allow=["localhost"], names={"localhost": ["10.9.9.9"]})
    assert answers == ["TargetRefused"]
    assert "127.0.0.1" in told[0]
    assert len(servers.allowed.connections) == before


@pytest.mark.parametrize("client", ["requests", "fasthttp"])
def test_an_address_of_a_production_name_is_refused_although_it_is_listed(
    client: str, servers: Servers
) -> None:
    before = len(servers.allowed.connections)
    url = f"http://127.0.0.1:{servers.allowed.port}/"
    answers, told = guarded(client, [url], production=["www.example"], names={"www.example": ["127.0.0.1"]})
    assert answers == ["TargetRefused"]
    assert "is www.example, which is production" in told[0]
    assert len(servers.allowed.connections) == before


@pytest.mark.parametrize("client", ["requests", "httpx", "urllib"])
@pytest.mark.usefixtures("seen_nothing")
def test_a_proxy_from_the_environment_is_a_host_like_any_other(client: str, servers: Servers) -> None:
    proxy = f"http://127.0.0.2:{servers.forbidden.port}"
    answers, told = guarded(client, [f"http://127.0.0.1:{servers.allowed.port}/"], http_proxy=proxy)
    assert answers == ["TargetRefused"]
    assert "127.0.0.2" in told[0]


@pytest.mark.usefixtures("seen_nothing")
def test_bare_sockets_are_guarded_and_exempt_addresses_are_free(servers: Servers) -> None:
    port, free = servers.forbidden.port, servers.allowed.port
    calls = [
        f"SOCK_STREAM connect 127.0.0.2 {port}",
        f"SOCK_STREAM connect_ex 127.0.0.2 {port}",
        f"SOCK_STREAM connect localhost {port}",
        f"SOCK_STREAM connect 0x7f.1 {port}",
        f"SOCK_DGRAM sendto 127.0.0.2 {port}",
        f"SOCK_DGRAM sendmsg 127.0.0.2 {port}",
        f"SOCK_STREAM connect_ex 127.0.0.1 {free}",
        f"SOCK_STREAM connect_ex 127.0.0.1 {port}",
    ]
    answers, told = guarded("sockets", calls, allow=[], exempt=[("127.0.0.1", free)])
    assert answers == [*["TargetRefused"] * 6, "0", "TargetRefused"]
    assert len(told) == 7


def test_unix_sockets_are_free_and_lookups_of_names_are_not() -> None:
    code = (
        "import socket, sys\n"
        "from rehearse.allowlist import AllowList, install_socket_guard\n"
        "install_socket_guard(AllowList(()), print)\n"
        "one, two = socket.socketpair(); one.send(b'x'); print(two.recv(1))\n"
        "print(socket.getaddrinfo('127.0.0.1', 80)[0][4], socket.getaddrinfo(None, 80) != [])\n"
        "socket.getaddrinfo(b'evil.example', 'https')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines()[:2] == ["b'x'", "('127.0.0.1', 80) True"]
    assert "evil.example is not on the allow-list" in done.stdout
    assert "TargetRefused" in done.stderr
