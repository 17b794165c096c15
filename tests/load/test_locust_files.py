"""Every kind of Locust file works unchanged: all of them at once, on both sides, and no arrival is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import MappingProxyType

import pytest

from rehearse.errors import ConfigError
from rehearse.load.engine import BlockClosed, LoadEvent, Trouble, WorkerDone
from rehearse.load.locust_engine import LocustEngine
from rehearse.load.orders import LoadOrder, ScenarioOrder, SideOrder
from rehearse.load.schedule import Schedule
from rehearse.model import Arrivals, Scope, Side
from tests.servers import Site, serving

EACH = 20  # arrivals of each file

FILES = MappingProxyType(
    {
        "http_user": """
from locust import HttpUser, between, task

class Browser(HttpUser):
    wait_time = between(30, 60)

    @task(3)
    def named(self):
        self.client.get("/item/17", name="/item/[id]")

    @task
    def checked(self):
        with self.client.get("/checked?page=2", catch_response=True) as response:
            if response.json()["version"] != "1.0":
                response.failure("another version")
""",
        "fast_http_user": """
from locust import FastHttpUser, constant

def list_items(user):
    user.client.get("/fast/list")

def open_item(user):
    with user.client.rename_request("/fast/[id]"):
        user.client.get("/fast/17")

class FastBrowser(FastHttpUser):
    wait_time = constant(60)
    tasks = {list_items: 3, open_item: 1}
""",
        "nested": """
from locust import FastHttpUser, TaskSet, constant, task

class Inner(TaskSet):
    wait_time = constant(60)  # of its own: it shadows the user's

    @task
    def look(self):
        self.client.get("/nested/look")

    @task
    def leave(self):
        self.client.get("/nested/leave")
        self.interrupt(reschedule=False)  # which would wait for a minute in Locust

class Nester(FastHttpUser):
    wait_time = constant(60)

    @task(2)
    class Middle(TaskSet):
        tasks = [Inner]

        @task
        def back(self):
            self.client.get("/nested/back")
            self.interrupt()

    @task
    def direct(self):
        self.client.get("/nested/direct")
""",
        "sequential": """
from locust import FastHttpUser, SequentialTaskSet, task

class Steps(SequentialTaskSet):
    @task
    def one(self):
        self.steps = [1]
        self.client.get("/sequential/one")

    @task
    def two(self):
        self.steps.append(2)
        self.client.get("/sequential/two")

    @task
    def three(self):
        assert self.steps == [1, 2]
        self.client.get("/sequential/three")
        self.interrupt()

class Stepper(FastHttpUser):
    tasks = [Steps]
""",
        "markov": """
from locust import FastHttpUser
from locust.user.markov_taskset import MarkovTaskSet, transition, transitions

class Wander(MarkovTaskSet):
    @transition("b")
    def a(self):
        self.client.get("/markov/a")

    @transitions({"a": 1, "b": 2})
    def b(self):
        self.client.get("/markov/b")

class Wanderer(FastHttpUser):
    tasks = [Wander]
""",
        "logins": """
from locust import FastHttpUser, TaskSet, task

class Member(FastHttpUser):
    def on_start(self):
        self.token = self.client.get("/login/user").json()["version"]

    @task
    class Area(TaskSet):
        def on_start(self):
            self.area = self.client.get("/login/area").json()["version"]

        @task
        def look(self):
            assert self.user.token == self.area == "1.0"
            self.client.get("/login/look")
            self.interrupt()
""",
        "waits": """
import time
from locust import FastHttpUser, constant, task

class Thinker(FastHttpUser):
    wait_time = constant(0.2)

    @task
    def think(self):
        self.client.get("/wait/before")
        began = time.monotonic()
        self.wait()
        assert time.monotonic() - began > 0.15, "an explicit wait keeps its meaning"
        self.client.get("/wait/after")
""",
        "tagged": """
from locust import FastHttpUser, tag, task

class Tagged(FastHttpUser):
    @tag("read")
    @task
    def read(self):
        self.client.get("/tag/read")

    @tag("read", "slow")
    @task
    def slow(self):
        self.client.get("/tag/slow")

    @tag("write")
    @task
    def write(self):
        self.client.get("/tag/write")
""",
        "set_up": """
from locust import FastHttpUser, events, task

SEEN = {}

@events.init_command_line_parser.add_listener
def _(parser):
    parser.add_argument("--colour", default="blue")

@events.init.add_listener
def _(environment, **_):
    SEEN["runner"] = type(environment.runner).__name__

@events.test_start.add_listener
def _(environment, **_):
    SEEN["colour"] = environment.parsed_options.colour

class SetUp(FastHttpUser):
    @task
    def look(self):
        assert SEEN == {"runner": "LocalRunner", "colour": "blue"}, SEEN
        self.client.get("/set-up/look")
""",
        "module_state": """
import csv, itertools
from pathlib import Path
from locust import FastHttpUser, task

FEED = itertools.cycle(csv.DictReader(Path("feed.csv").open()))
TOKENS, CREATED = {}, []

class Keeper(FastHttpUser):
    def on_start(self):
        if "token" not in TOKENS:  # one login for all users of the process
            TOKENS["token"] = self.client.get("/token").headers["X-Side"]

    @task
    def create(self):
        response = self.client.get(f"/create/{TOKENS['token']}/{next(FEED)['colour']}", name="/create")
        CREATED.append(response.headers["X-Side"])

    @task
    def use(self):
        self.client.get(f"/use/{CREATED[-1] if CREATED else TOKENS['token']}", name="/use")
""",
        "own_client": """
import time
import urllib.request
from locust import User, task

class Own(User):
    @task
    def ask(self):
        began = time.perf_counter()
        with urllib.request.urlopen(f"{self.host}/own") as answer:
            length = len(answer.read())
        self.environment.events.request.fire(
            request_type="OWN", name="ask", response_length=length, exception=None, context={},
            response_time=(time.perf_counter() - began) * 1000,
        )
""",
        "classes": """
from locust import FastHttpUser, task

class Base(FastHttpUser):
    abstract = True

    @task
    def look(self):
        self.client.get(f"/classes/{type(self).__name__}")

class Often(Base):
    weight = 3

class Seldom(Base):
    weight = 1

class Never(Base):
    weight = 0

class Watchman(Base):
    fixed_count = 1
""",
        "boundary_days": """
from itertools import cycle
from locust import FastHttpUser, task
from rehearse.instants import Format, boundary_instants

DAYS = cycle([day for instant in boundary_instants() if "-02-29" in (day := instant.written(Format.DATE))])

class Clerk(FastHttpUser):
    @task
    def report(self):
        self.client.get(f"/days?day={next(DAYS)}", name="/days")
""",
        "parallel": """
import gevent
from gevent.pool import Group
from locust import FastHttpUser, task

class Parallel(FastHttpUser):
    @task
    def page(self):
        group = Group()
        for part in ("head", "body"):
            group.spawn(self.client.get, f"/parallel/{part}")
        group.join()
""",
        "breaks": """
from locust import FastHttpUser, task

class Breaker(FastHttpUser):
    @task
    def look(self):
        self.client.get("/breaks")
        raise KeyError("a mistake of the scenario")
""",
        "shaped": """
from locust import FastHttpUser, LoadTestShape, task

class Shape(LoadTestShape):
    def tick(self):
        return (1000, 1000)

class Shaped(FastHttpUser):
    @task
    def look(self):
        self.client.get("/shaped")
""",
    }
)


def order_of(folder: Path, files: dict[str, str], sites: tuple[Site, ...], workers: int = 1) -> LoadOrder:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "feed.csv").write_text("colour\nred\ngreen\n")
    tags = {"tagged": (("read",), ("slow",))}
    return LoadOrder(
        sides=tuple(SideOrder(side, site.url) for side, site in zip(Side, sites, strict=False)),
        schedule=Schedule(EACH / 2 * len(files), "poisson", 1.0, 0, 2, seed=5, shares=(1.0,) * len(files)),
        round=0,
        scenarios=tuple(
            ScenarioOrder(name, str(folder / f"{name}.py"), *tags.get(name, ())) for name in files
        ),
        allow=("127.0.0.1",),
        production=(),
        side_effects=False,
        users=60,
        workers=workers,
        timeout_s=3.0,
        log_dir=str(folder / "logs"),
        working_dir=str(folder),
    )


def run(order: LoadOrder) -> list[LoadEvent]:
    with LocustEngine().start(order) as session:
        return list(session.events())


def counts(events: list[LoadEvent], side: Side, scope: Scope) -> Counter[str]:
    """Judged and failed alike: everything of a series."""
    found: Counter[str] = Counter()
    for event in events:
        for series in (
            event.block.series if isinstance(event, BlockClosed) and event.block.side is side else ()
        ):
            if series.scope is scope:
                found[series.name] += sum(histogram.count for histogram in series.durations.values())
    return found


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[LoadEvent], Site, Site]:
    """One run of all files on two sides, each server with a name of its own."""
    folder = tmp_path_factory.mktemp("files")
    with serving(headers={"X-Side": "left"}) as left, serving(headers={"X-Side": "right"}) as right:
        return run(order_of(folder, dict(FILES), (left, right))), left, right


Played = tuple[list[LoadEvent], Site, Site]


@pytest.mark.parametrize("side", Side)
def test_the_account_of_every_file_balances_exactly(played: Played, side: Side) -> None:
    events = played[0]
    assert [event.incident.sentence for event in events if isinstance(event, Trouble)] == []
    (final,) = [event.final for event in events if isinstance(event, WorkerDone) and event.final.side is side]
    everything = EACH * len(FILES)
    expected = Arrivals(
        planned=everything, dispatched=everything, ok=everything - EACH, error=EACH,
        concurrency_limited=final.arrivals.concurrency_limited,
    )  # fmt: skip
    assert final.arrivals == expected
    assert final.listener_errors == 0
    assert counts(events, side, Scope.SCENARIO) == dict.fromkeys(FILES, EACH)


def test_only_the_file_that_raises_has_errors(played: Played) -> None:
    kinds = {
        (series.name, error.kind)
        for event in played[0]
        if isinstance(event, BlockClosed)
        for series in event.block.series
        for error in series.errors
    }
    assert kinds == {("breaks", "exception: KeyError"), ("Breaker.look", "exception: KeyError")}


@pytest.mark.parametrize("side", Side)
def test_tasks_come_in_the_mix_that_the_file_asks_for(played: Played, side: Side) -> None:
    tasks = counts(played[0], side, Scope.TASK)
    assert (tasks["Browser.named"], tasks["Browser.checked"]) == (15, 5)
    assert (tasks["FastBrowser.list_items"], tasks["FastBrowser.open_item"]) == (15, 5)
    assert tasks["Watchman.look"] + tasks["Often.look"] + tasks["Seldom.look"] == EACH
    assert abs(tasks["Often.look"] - 3 * tasks["Seldom.look"]) <= 3
    assert 0 < tasks["Watchman.look"] < tasks["Often.look"]
    assert "Tagged.slow" not in tasks
    assert "Tagged.write" not in tasks
    assert "Never.look" not in tasks
    assert abs(tasks["Stepper.one"] - tasks["Stepper.two"]) <= 2 + EACH // 3


def test_both_sides_meet_the_same_mix(played: Played) -> None:
    left, right = (counts(played[0], side, Scope.TASK) for side in Side)
    assert left.keys() == right.keys()
    assert all(abs(left[name] - right[name]) <= 6 for name in left)


def test_requests_are_named_as_the_file_names_them(played: Played) -> None:
    names = set(counts(played[0], Side.BASELINE, Scope.ENDPOINT))
    named = {"GET /item/[id]", "GET /checked", "GET /fast/[id]", "GET /create", "GET /use", "OWN ask"}
    assert named <= names
    assert {"GET /parallel/head", "GET /parallel/body", "GET /login/area"} <= names


def test_a_scenario_can_ask_for_boundary_instants_itself(played: Played) -> None:
    _, left, right = played
    days = [{line.rpartition("=")[2] for line in site.requests if "/days?" in line} for site in (left, right)]
    assert days[0] == days[1]
    assert "2028-02-29" in str(days[0])


def test_a_login_on_the_way_into_a_task_set_belongs_to_the_arrival_that_led_there(played: Played) -> None:
    """And one that a user makes before the start is set-up: counted, and not judged."""
    endpoints = counts(played[0], Side.CANDIDATE, Scope.ENDPOINT)
    assert "GET /login/user" not in endpoints
    assert 0 < endpoints["GET /login/area"] <= endpoints["GET /login/look"] == EACH


def test_state_of_a_module_never_crosses_to_the_other_side(played: Played) -> None:
    _, left, right = played
    for site, own, other in ((left, "left", "right"), (right, "right", "left")):
        mine = [request for request in site.requests if "/create/" in request or "/use/" in request]
        assert len(mine) == EACH
        assert all(f"/{own}" in request and f"/{other}" not in request for request in mine)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def test_look(session):\n    pass\n", "pytest-style file cannot be paced"),
        (
            "from locust.contrib.postgres import PostgresUser\nclass Old(PostgresUser):\n    tasks = [print]\n",
            "Old is a PostgresUser: libpq connects where the allow-list cannot see it",
        ),
        ("from locust import User\nclass Idle(User):\n    pass\n", "Idle has no task"),
    ],
    ids=["pytest style", "a driver of its own", "no task"],
)
def test_what_cannot_be_supported_is_refused_with_the_reason(tmp_path: Path, text: str, why: str) -> None:
    with serving() as site, pytest.raises(ConfigError, match=why):
        run(order_of(tmp_path, {"file": text}, (site,)))
    assert site.requests == []
