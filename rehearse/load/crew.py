"""Who carries the load of one worker: the user classes of the scenario files, how many users of each, and where they
are pointed at. Runs in the worker only."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locust.contrib.fasthttp import FastHttpUser
from locust.env import Environment
from locust.user.users import HttpUser, User
from locust.util.load_locustfile import load_locustfile

from rehearse.load.lean import LeanHttpUser
from rehearse.load.orders import WorkerOrder
from rehearse.load.schedule import Rota, Slot


@dataclass(frozen=True, slots=True)
class Member:
    """One user class: `users` of them run here, and take their weight of the arrivals of their scenario."""

    user_class: type[User]
    scenario: int
    users: int
    weight: float


class Deal:
    """Which user class an arrival is for, by weight and without luck: the same on both sides."""

    def __init__(self, crew: Sequence[Member]) -> None:
        self._lanes = {
            scenario: [lane for lane, member in enumerate(crew) if member.scenario == scenario]
            for scenario in {member.scenario for member in crew}
        }
        self._rotas = {
            scenario: Rota([crew[lane].weight for lane in lanes]) for scenario, lanes in self._lanes.items()
        }

    def __call__(self, slot: Slot) -> int:
        """The position in the crew of the user class that takes this arrival."""
        return self._lanes[slot.scenario][self._rotas[slot.scenario].next()]


def muster(order: WorkerOrder) -> tuple[Member, ...]:
    """Load every scenario file and say how many users of each class run in this worker.

    A class with a `fixed_count` keeps it (split over the workers). The others share the users that are left by weight
    and scenario, one each at least. Raises ValueError when that cannot be, or when a file has no users.
    """
    found = [
        (number, user_class)
        for number, scenario in enumerate(order.scenarios)
        for user_class in _user_classes(scenario.name, scenario.file)
    ]
    _refuse_same_names([user_class.__name__ for _, user_class in found])
    fixed = [
        Member(user_class, number, users, float(users))
        for number, user_class in found
        if user_class.fixed_count and (users := _part_of(user_class.fixed_count, order))
    ]
    crew = (*fixed, *_weighted(order, found, order.users - sum(member.users for member in fixed)))
    for number, scenario in enumerate(order.scenarios):
        if not any(member.scenario == number for member in crew):
            raise ValueError(f"scenario {scenario.name!r}: fixed_count leaves a worker without users")
    for member in crew:
        member.user_class.fixed_count = member.users  # Locust starts exactly these
    return crew


def _user_classes(name: str, file: str) -> list[type[User]]:
    user_classes, _shapes = load_locustfile(str(Path(file)))
    wanted = [one for one in user_classes.values() if one.weight > 0 or one.fixed_count > 0]
    if not wanted:
        raise ValueError(f"scenario {name!r}: {file} has no runnable User class")
    return wanted


def _refuse_same_names(names: list[str]) -> None:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise ValueError(f"two scenarios have a User class named {twice[0]!r}: rename one")


def _part_of(users: int, order: WorkerOrder) -> int:
    return users // order.workers + (order.worker < users % order.workers)


def _weighted(order: WorkerOrder, found: list[tuple[int, type[User]]], left: int) -> list[Member]:
    """The classes without a fixed count; a member's weight is the users it would have if there were fractions."""
    rest = [(number, user_class) for number, user_class in found if not user_class.fixed_count]
    if left < len(rest):
        raise ValueError(
            f"{max(left, 0)} users a worker are too few for {len(rest)} user classes: raise load.users"
        )
    totals: dict[int, float] = {}
    for number, user_class in rest:
        totals[number] = totals.get(number, 0.0) + user_class.weight
    parts = [
        user_class.weight / totals[number] * order.schedule.shares[number] for number, user_class in rest
    ]
    counts = _one_each_at_least(parts, left)
    return [
        Member(user_class, number, count, part / sum(parts) * left)
        for (number, user_class), count, part in zip(rest, counts, parts, strict=True)
    ]


def _one_each_at_least(parts: Sequence[float], users: int) -> list[int]:
    counts = [0] * len(parts)
    rota = Rota(parts)
    for _ in range(users if parts else 0):
        counts[rota.next()] += 1
    for position, count in enumerate(counts):
        if not count:
            counts[counts.index(max(counts))] -= 1
            counts[position] = 1
    return counts


def aim(user_class: type[User], order: WorkerOrder) -> None:
    """Point a user class at its target: TLS verified (FastHttpUser verifies nothing by default), headers, timeouts."""
    tls, timeout_s = order.target.tls, order.timeout_s

    def tls_context() -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=tls.ca)
        if not tls.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key)
        return context

    if issubclass(user_class, FastHttpUser | LeanHttpUser):
        user_class.insecure = not tls.verify
        user_class.ssl_context_factory = staticmethod(tls_context)
        user_class.network_timeout = min(user_class.network_timeout, timeout_s)
        user_class.connection_timeout = min(user_class.connection_timeout, timeout_s)
        user_class.default_headers = {**order.target.headers, **(user_class.default_headers or {})}
    elif issubclass(user_class, HttpUser):
        _aim_requests(user_class, order)


def _aim_requests(user_class: type[HttpUser], order: WorkerOrder) -> None:
    tls, original = order.target.tls, user_class.__init__

    def initialise(self: Any, environment: Environment) -> None:
        original(self, environment)  # type: ignore[no-untyped-call]
        self.client.trust_env = False  # no proxy, no .netrc: load goes to the target itself
        self.client.headers.update(order.target.headers)
        self.client.verify = (tls.ca or True) if tls.verify else False
        self.client.cert = (tls.cert, tls.key) if tls.cert and tls.key else tls.cert

    user_class.__init__ = initialise  # type: ignore[method-assign]
