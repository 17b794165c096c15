"""How Locust's task loop is told to follow the schedule. Runs in the worker only.

Locust's own loop stays: users, task sets, on_start, weights. What changes: a leaf task waits for its arrival before
it runs, the wait after a task is skipped (the schedule decides when the next one is due; an explicit `self.wait()`
keeps its meaning), and plain task lists are drawn from a seeded deck, so that both sides see the same mix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from locust.exception import StopUser
from locust.user.task import (
    LOCUST_STATE_RUNNING,
    LOCUST_STATE_STOPPING,
    LOCUST_STATE_WAITING,
    DefaultTaskSet,
    TaskSet,
)

from rehearse.load.pacer import Journey, Pacer
from rehearse.load.request_hooks import carry, note_exception

_NOT_DRAWN_YET = object()  # stands for a task until its arrival is there
_SKIP_WAIT = "_rehearse_skip_wait"  # attribute of the task set
_ARRIVAL = "_rehearse_arrival"  # attribute of the user: the journey whose leaf task has not begun

Run = Callable[[Any, Any], None]
Draw = Callable[[Any], Any]


class Decks:
    """Draws tasks by their weights without luck: each class works through seeded shuffles of its task list."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._decks: dict[type, tuple[Random, list[Any]]] = {}

    def draw(self, owner: Any) -> Any:
        """The next task of a user's, or a task set's, class."""
        kind = type(owner)
        if kind not in self._decks:
            self._decks[kind] = (Random(f"{self._seed}:{kind.__qualname__}"), [])
        rng, deck = self._decks[kind]
        if not deck:
            deck.extend(owner.tasks)
            rng.shuffle(deck)
        return deck.pop()


class Conductor:
    """Makes every leaf task of every task set wait for its arrival."""

    def __init__(self, pacer: Pacer, lane_of: Mapping[type, int], decks: Decks) -> None:
        self._pacer = pacer
        self._lane_of = lane_of
        self._decks = decks

    def next_task(self, task_set: Any, draw: Draw) -> Any:
        """From a plain list a task is drawn once its arrival is there; who chooses tasks otherwise is asked now."""
        is_plain = type(task_set).get_next_task in (DefaultTaskSet.get_next_task, TaskSet.get_next_task)
        return _NOT_DRAWN_YET if is_plain and _owner(task_set).tasks else draw(task_set)

    def execute(self, task_set: Any, task: Any, run: Run) -> None:
        """Run one task: a task set is entered, a leaf waits for its arrival."""
        if task is _NOT_DRAWN_YET:
            task = self._drawn(task_set)
        if _is_task_set(task):
            self._enter(task_set, task, run)
        else:
            self._perform(task_set, task, run)

    def _drawn(self, task_set: Any) -> Any:
        owner = _owner(task_set)
        if self._pacer.has_started or not any(_is_task_set(task) for task in owner.tasks):
            self._await_arrival(task_set.user)
        return self._decks.draw(owner)

    def _enter(self, task_set: Any, task: Any, run: Run) -> None:
        """What a task set's on_start does belongs to the arrival that led there; its leaf tasks claim the next ones.

        Before the common start it is entered without one: then its on_start is set-up.
        """
        user = task_set.user
        if self._pacer.has_started:
            self._await_arrival(user)
        journey = getattr(user, _ARRIVAL, None)
        if journey is not None:
            journey.task = _label(user, task)
        carry(journey)
        try:
            run(task_set, task)
        except BaseException as error:
            self._end_unperformed(user, error)
            raise
        finally:
            carry(None)
            setattr(task_set, _SKIP_WAIT, True)

    def _end_unperformed(self, user: Any, error: BaseException) -> None:
        """The task set was left before any leaf task ran: its on_start failed, or changed its mind."""
        journey = _take(user)
        if journey is not None:
            note_exception(journey, error)
            self._pacer.finish(journey)

    def _perform(self, task_set: Any, task: Any, run: Run) -> None:
        user = task_set.user
        self._await_arrival(user)
        journey: Journey = _take(user)  # type: ignore[assignment]  # it was awaited
        journey.task = _label(user, task)
        setattr(task_set, _SKIP_WAIT, False)
        carry(journey)
        try:
            run(task_set, task)
        except BaseException as error:  # gevent.Timeout is no Exception
            note_exception(journey, error)
            raise
        finally:
            carry(None)
            setattr(task_set, _SKIP_WAIT, True)
            self._pacer.finish(journey)

    def _await_arrival(self, user: Any) -> None:
        """Park the user in Locust's waiting state, so that stopping it works, until its arrival is due."""
        if getattr(user, _ARRIVAL, None) is not None:
            return
        user._state = LOCUST_STATE_WAITING
        setattr(user, _ARRIVAL, self._pacer.claim(self._lane_of[type(user)]))
        if user._state == LOCUST_STATE_STOPPING:
            raise StopUser
        user._state = LOCUST_STATE_RUNNING


def follow_schedule(conductor: Conductor) -> None:
    """From now on every user of this process runs its tasks when they are due."""
    original_wait = TaskSet.wait
    for kind in (DefaultTaskSet, TaskSet):
        _conduct(kind, conductor)

    def wait(self: Any) -> None:
        if not getattr(self, _SKIP_WAIT, False):
            original_wait(self)  # type: ignore[no-untyped-call]
            return
        setattr(self, _SKIP_WAIT, False)
        if self.user._state == LOCUST_STATE_STOPPING:
            raise StopUser

    TaskSet.wait = wait  # type: ignore[method-assign]


def _conduct(kind: type[TaskSet], conductor: Conductor) -> None:
    draw, run = kind.get_next_task, kind.execute_task

    def get_next_task(self: Any) -> Any:
        return conductor.next_task(self, draw)

    def execute_task(self: Any, task: Any) -> None:
        conductor.execute(self, task, run)

    kind.get_next_task = get_next_task  # type: ignore[method-assign]
    kind.execute_task = execute_task  # type: ignore[method-assign]


def _owner(task_set: Any) -> Any:
    """Whose `tasks` a task set works through: the tasks of a User stand on the user."""
    return task_set.user if isinstance(task_set, DefaultTaskSet) else task_set


def _take(user: Any) -> Journey | None:
    journey: Journey | None = getattr(user, _ARRIVAL, None)
    setattr(user, _ARRIVAL, None)
    return journey


def _label(user: Any, task: Any) -> str:
    return f"{type(user).__name__}.{getattr(task, '__name__', 'task')}"


def _is_task_set(task: Any) -> bool:
    return isinstance(task, type) and issubclass(task, TaskSet)
