"""Load in a thread of its own: what it raises at its begin is raised, and what comes later is trouble, never lost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest

from rehearse.cutting_over.steady import SteadyLoad
from rehearse.errors import NotReady, TargetRefused
from rehearse.load.engine import LiveCounts, LoadEvent, LoadStarted, ScriptedSession, Tick, Trouble
from rehearse.load.orders import LoadOrder
from rehearse.load.schedule import Schedule
from rehearse.model import Incident, ReasonCode, Side

ORDER = LoadOrder((), Schedule(1.0, "poisson", 1.0, 0, 1, 1), 0, (), (), (), False, 1, 1, 1.0, "", "")
COUNTS = LiveCounts(Side.CANDIDATE, 1, 1, 0, 1)
BEGIN: tuple[LoadEvent, ...] = (LoadStarted({}), Tick(0.001))


class Session(ScriptedSession):
    """The script, an error, or the end at the time when it is told to stop."""

    error: NotReady | TargetRefused | None = None
    goes_on = True

    def events(self) -> Iterator[LoadEvent]:
        yield from self.script
        if self.error is not None:
            raise self.error
        while self.goes_on and not self.is_stopped:
            time.sleep(0.001)

    def __exit__(self, *_: object) -> None:
        self.is_stopped = True


class Engine:
    def __init__(
        self,
        script: Sequence[LoadEvent],
        error: NotReady | TargetRefused | None = None,
        *,
        goes_on: bool = True,
    ) -> None:
        self.session = Session(script)
        self.session.error, self.session.goes_on = error, goes_on

    def start(self, order: LoadOrder) -> Session:
        del order
        return self.session


def test_every_event_is_kept_by_whoever_attends_and_the_end_is_no_trouble() -> None:
    kept: list[LoadEvent] = []
    with SteadyLoad(Engine([*BEGIN, COUNTS]), ORDER, kept.append) as load:
        load.attend(0.05)
        load.end()
        assert load.trouble == ""
        assert load.began_s == pytest.approx(time.monotonic(), abs=5)
    assert kept == [LoadStarted({}), COUNTS]


@pytest.mark.parametrize(
    "error", [NotReady("no token"), TargetRefused("not listed")], ids=["not ready", "refused"]
)
def test_what_goes_wrong_at_the_begin_is_raised(error: NotReady | TargetRefused) -> None:
    with pytest.raises(type(error), match=str(error)), SteadyLoad(Engine([], error), ORDER, lambda _: None):
        pass


def test_a_load_that_never_begins_is_said() -> None:
    engine = Engine([], goes_on=False)
    with pytest.raises(NotReady, match="did not begin"), SteadyLoad(engine, ORDER, lambda _: None):
        pass


def test_an_error_later_on_is_trouble_and_the_rest_goes_on() -> None:
    with SteadyLoad(Engine(BEGIN, NotReady("the right to load was lost")), ORDER, lambda _: None) as load:
        began_s = time.monotonic()
        load.attend(0.05)
        assert time.monotonic() - began_s >= 0.05
        assert load.trouble == "the right to load was lost"


def test_a_load_that_ends_by_itself_and_a_lost_worker_are_trouble() -> None:
    with SteadyLoad(Engine(BEGIN, goes_on=False), ORDER, lambda _: None) as load:
        load.attend(0.05)
        assert load.trouble == "the load came to an end by itself"
    lost = Trouble(Incident(ReasonCode.WORKER_LOST, "killed by SIGKILL"))
    with SteadyLoad(Engine([*BEGIN, lost]), ORDER, lambda _: None) as load:
        load.attend(0.05)
        assert load.trouble == "killed by SIGKILL"


def test_an_answer_or_an_error_of_a_question_comes_back_while_load_is_attended_to() -> None:
    def refuse() -> str:
        raise NotReady("nobody there")

    with SteadyLoad(Engine(BEGIN), ORDER, lambda _: None) as load:
        assert load.ask(lambda: "yes", lambda: None) == "yes"
        with pytest.raises(NotReady, match="nobody there"):
            load.ask(refuse, lambda: None)


def test_who_waits_for_an_answer_can_look_at_something_else() -> None:
    looks: list[float] = []

    def ask() -> str:
        while len(looks) < 3:
            time.sleep(0.001)
        return "yes"

    with SteadyLoad(Engine(BEGIN), ORDER, lambda _: None) as load:
        assert load.ask(ask, lambda: looks.append(load.now_s())) == "yes"
