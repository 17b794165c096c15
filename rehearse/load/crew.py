"""Who carries the load of one worker: the user classes of the scenario files, how many users of each, and where they
are pointed at. Runs in the worker only."""

from __future__ import annotations

import logging
import re
import ssl
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locust.argument_parser import get_parser
from locust.contrib.fasthttp import FastHttpUser
from locust.env import Environment
from locust.user.task import filter_tasks_by_tags
from locust.user.users import HttpUser, User
from locust.util.load_locustfile import load_locustfile

from rehearse.allowlist import AllowList
from rehearse.databases import is_database, read_database_url, shown_url, way_to
from rehearse.errors import TargetRefused
from rehearse.load.lean import LeanHttpUser
from rehearse.load.orders import ScenarioOrder, WorkerOrder
from rehearse.load.schedule import Rota, Slot

# Their drivers open connections by themselves, where the allow-list cannot see them.
UNSUPPORTED = {
    "locust.contrib.postgres": "libpq connects where the allow-list cannot see it; use rehearse.load.SqlUser",
    "locust.contrib.milvus": "gRPC connects where the allow-list cannot see it",
}

_log = logging.getLogger(__name__)


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
        for user_class in _user_classes(scenario)
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


def own_options() -> Namespace:
    """The options that scenario files added to Locust's command line, at their defaults (or LOCUST_ variables)."""
    options: Namespace = get_parser(default_config_files=[]).parse_args([])
    return options


def _user_classes(scenario: ScenarioOrder) -> list[type[User]]:
    where = f"scenario {scenario.name!r}: {scenario.file}"
    user_classes, shapes = load_locustfile(str(Path(scenario.file)))
    wanted = [one for one in user_classes.values() if one.weight > 0 or one.fixed_count > 0]
    if not wanted:
        raise ValueError(f"{where} has no runnable User class{_pytest_advice(scenario.file)}")
    if shapes:
        _log.warning("%s: its LoadTestShape is not used; the schedule is that of [load]", where)
    for user_class in wanted:
        _refuse_unsupported(where, user_class)
        filter_tasks_by_tags(user_class, set(scenario.tags) or None, set(scenario.exclude_tags) or None)
        if not user_class.tasks:
            raise ValueError(f"{where}: {user_class.__name__} has no task{_tags_advice(scenario)}")
    return wanted


def _refuse_unsupported(where: str, user_class: type[User]) -> None:
    for ancestor in user_class.__mro__:
        why = UNSUPPORTED.get(ancestor.__module__)
        if why is not None:
            raise ValueError(f"{where}: {user_class.__name__} is a {ancestor.__name__}: {why}")


def _pytest_advice(file: str) -> str:
    is_pytest_style = re.search(r"^def test_", Path(file).read_text(encoding="utf-8"), re.MULTILINE)
    return (
        "; a pytest-style file cannot be paced: put its requests into the tasks of a User"
        if is_pytest_style
        else ""
    )


def _tags_advice(scenario: ScenarioOrder) -> str:
    return " that its `tags` and `exclude_tags` leave" if scenario.tags or scenario.exclude_tags else ""


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


def refuse_strangers(user_class: type[User], order: WorkerOrder) -> None:
    """Raise ValueError unless users of this class can speak to the target, under our control."""
    name, needs_database = user_class.__name__, getattr(user_class, "needs_database", False)
    if needs_database and not is_database(order.target.url):
        raise ValueError(
            f"{name} is a SqlUser and runs SQL, but {order.target.url} is an HTTP service: give the target the URL"
            " of its database, or take this scenario out"
        )
    if order.target.proxy is not None and not issubclass(user_class, HttpUser):
        raise ValueError(
            f"{name} is no HttpUser, and the {order.target.side} target has a proxy: only an HttpUser goes through"
            " one; derive it from locust.HttpUser, or take targets.NAME.proxy out"
        )
    if is_database(order.target.url) and not needs_database:
        raise ValueError(
            f"{name} is no SqlUser, and {shown_url(order.target.url)} is a database: only a SqlUser is kept to the"
            " allow-list and to reads there; derive it from rehearse.load.SqlUser, or take this scenario out"
        )


def aim_through_proxy(user_class: type[User], order: WorkerOrder, refuse: Callable[[str], None]) -> None:
    """Send an HttpUser's requests through the target's proxy, if it has one.

    The sockets lead to the proxy then, whatever it is asked for: so each URL is compared, those of redirects too.
    """
    proxy = order.target.proxy
    if proxy is None or not issubclass(user_class, HttpUser):
        return
    allow_list = AllowList(order.allow, order.production, order.target.other_sides)
    original = user_class.__init__

    def initialise(self: Any, environment: Environment) -> None:
        original(self, environment)  # type: ignore[no-untyped-call]
        adapter_for = self.client.get_adapter

        def checked(url: str) -> Any:
            try:
                allow_list.check_url(url)
            except TargetRefused as refusal:
                refuse(str(refusal))
                raise
            return adapter_for(url)

        self.client.proxies = {"http": proxy, "https": proxy}
        self.client.get_adapter = checked

    user_class.__init__ = initialise  # type: ignore[method-assign]


def aim_at_database(
    user_class: type[User],
    order: WorkerOrder,
    refuse: Callable[[str], None],
    in_flight: Callable[[str], AbstractContextManager[None]],
) -> None:
    """Give a SqlUser class its way to the target: checked addresses, timeout, and whether it may write.

    Raises TargetRefused.
    """
    from rehearse.load.sql_user import Access, SqlUser  # SQLAlchemy is not for those that speak HTTP

    if issubclass(user_class, SqlUser):
        allow_list = AllowList(order.allow, order.production, order.target.other_sides)
        way = way_to(read_database_url(order.target.url), allow_list)
        user_class.access = Access(
            way, order.timeout_s, order.side_effects, seed_of(order), refuse=refuse, in_flight=in_flight
        )


def seed_of(order: WorkerOrder) -> str:
    """What all that is drawn in this worker is seeded with; the same on both sides."""
    return f"{order.schedule.seed}:{order.round}:{order.worker}"


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


def renew_headers(user: User, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Give a user's client what is new, where it still has what was given before: its own headers stay its own."""
    if isinstance(user, LeanHttpUser):
        user.client.renew_headers(before, after)
        return
    headers: Any = {}
    if isinstance(user, FastHttpUser):
        headers = user.client.client.default_headers
    elif isinstance(user, HttpUser):
        headers = user.client.headers
    for name, value in after.items():
        if name in headers and headers[name] == before.get(name):
            headers[name] = value
