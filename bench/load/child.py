"""What runs inside the generator's process, one slice each: plain Locust, and two loops without Locust.

    python -m bench.load.child fast URL USERS WARM_UP_S SECONDS

prints {"per_s": ..., "cpu_us": ...}: requests per second, and CPU microseconds of the process per request.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import gevent
import locust  # patches the whole process: before anything else
from httptools import HttpResponseParser
from locust.contrib.fasthttp import FastHttpUser
from locust.env import Environment

from rehearse.histogram import Histogram
from rehearse.load.lean import LeanHttpUser

PATH = "/look"


def main() -> None:
    """Run one kind and print what it did."""
    kind, url, users, warm_up_s, seconds, *more = sys.argv[1:]
    start: dict[str, Callable[..., Callable[[], int]]] = {
        "fast": plain_fast,
        "paced": plain_paced,
        "lean": plain_lean,
        "geventhttpclient": client_alone,
        "sockets": bare_sockets,
    }
    done = start[kind](url, int(users), *map(float, more))
    gevent.sleep(float(warm_up_s))
    before, cpu, wall = done(), time.process_time(), time.perf_counter()
    gevent.sleep(float(seconds))
    requests, cpu_s, wall_s = done() - before, time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"per_s": requests / wall_s, "cpu_us": cpu_s / max(requests, 1) * 1e6}))


def plain_fast(url: str, users: int) -> Callable[[], int]:
    """Locust as it comes, with its FastHttpUser."""

    class Visitor(FastHttpUser):
        @locust.task
        def look(self) -> None:
            self.client.get(PATH)

    return plain(Visitor, url, users)


def plain_paced(url: str, users: int, per_user_s: float) -> Callable[[], int]:
    """The same with a rate: each user sends so many a second."""

    class Visitor(FastHttpUser):
        wait_time = locust.constant_throughput(per_user_s)

        @locust.task
        def look(self) -> None:
            self.client.get(PATH)

    return plain(Visitor, url, users)


def plain_lean(url: str, users: int) -> Callable[[], int]:
    """Locust as it comes, with our LeanHttpUser."""

    class Visitor(LeanHttpUser):
        @locust.task
        def look(self) -> None:
            self.client.get(PATH)

    return plain(Visitor, url, users)


def plain(user_class: type[locust.User], url: str, users: int) -> Callable[[], int]:
    """Locust's own loop; returns how many requests it has counted."""
    environment = Environment(user_classes=[user_class], host=url, events=locust.events)
    runner = environment.create_local_runner()
    runner.start(users, spawn_rate=users)
    return lambda: int(environment.stats.total.num_requests)


def client_alone(url: str, users: int) -> Callable[[], int]:
    """geventhttpclient in a loop, without Locust."""
    from geventhttpclient import HTTPClient

    count = [0]

    def visit() -> None:
        client = HTTPClient.from_url(url)
        while True:
            client.get(PATH).read()
            count[0] += 1

    for _ in range(users):
        gevent.spawn(visit)
    return lambda: count[0]


def bare_sockets(url: str, users: int) -> Callable[[], int]:
    """gevent's sockets, httptools and a histogram: about what a Python client can cost at the least."""
    from gevent import socket

    host, _, port = url.removeprefix("http://").partition(":")
    message = f"GET {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    histogram, count = Histogram(), [0]

    def visit() -> None:
        sock, answer = socket.create_connection((host, int(port))), Answer()
        parser = HttpResponseParser(answer)
        while True:
            started = time.perf_counter()
            sock.send(message)
            answer.is_complete = False
            while not answer.is_complete:
                parser.feed_data(sock.recv(65536))
            histogram.record(time.perf_counter() - started)
            count[0] += 1

    for _ in range(users):
        gevent.spawn(visit)
    return lambda: count[0]


class Answer:
    """Notes when an answer is complete."""

    is_complete = False

    def on_message_complete(self) -> None:
        """Called by httptools."""
        self.is_complete = True


if __name__ == "__main__":
    main()
