"""The way there, back and forward: one phase after the other, while load and probes go on.

Each step is in the store before it runs, and again after it: whoever comes next knows where the environment stands.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from rehearse.cutover.exhibits import (
    answer_exhibit,
    backup_exhibit,
    criterion_exhibit,
    phase_exhibit,
    process_exhibit,
    rows_exhibit,
    step_exhibit,
)
from rehearse.cutover.questions import AskedTwice
from rehearse.cutover.rows import RowKeeper
from rehearse.cutover.steps import RunningStep, StepRunner
from rehearse.cutovers import (
    BackupSeen,
    CutoverPhase,
    Direction,
    PhaseKind,
    StepOutcome,
    StepProcess,
    StepRecord,
    open_after,
)
from rehearse.cutting_over.criteria import Blocks, Criteria
from rehearse.cutting_over.orders import CutoverOrder, StepOrder
from rehearse.cutting_over.steady import POLL_S, Pace
from rehearse.cutting_over.verifying import Verifier
from rehearse.errors import NotReady
from rehearse.holding import process_of
from rehearse.journal import Journal
from rehearse.judge.exits import UNDONE, UPGRADED
from rehearse.model import Side
from rehearse.progress import Listener

T = TypeVar("T")
LOOK_S = 0.25  # how often somebody looks at the criteria


@dataclass(frozen=True, slots=True)
class Crew:
    """Who does what on the way; tests hand in fakes."""

    pace: Pace
    runner: StepRunner
    verifier: Verifier
    listener: Listener
    log_dir: Path
    look: Callable[[], Blocks]  # what the load has shown
    begin_watch: Callable[[float], None]  # from then on it is looked at by the criteria
    ran: Callable[[float, float], None]  # a step ran from then to then; at its begin: for ever
    facts: Callable[[Side], None]  # ask the environment what it is, and store that
    criteria: Criteria
    rows: RowKeeper | None = None
    questions: tuple[AskedTwice, ...] = ()
    trouble: Callable[[], str] = field(default=str)  # why the evidence has a hole by now


class Walk:
    """One cutover under way."""

    def __init__(self, order: CutoverOrder, journal: Journal, crew: Crew) -> None:
        self._order = order
        self._journal = journal
        self._crew = crew
        self._steps: list[StepRecord] = []
        self._phases = 0
        self._is_watching = False
        self._looked_s = -math.inf

    # --- the whole way

    def there_and_back(self) -> None:
        """Known-good, the upgrade, the candidate, the undo, known-good again; forward, if that is asked for."""
        cutover, crew = self._order.settings.cutover, self._crew
        self._before()
        is_there = self._has_backup() and not crew.trouble()
        if is_there:
            if crew.rows is not None:
                crew.rows.upgrade_begins()
            with self._watched():
                is_there = self._go(self._order.there_and_back)
                if is_there:
                    crew.facts(Side.CANDIDATE)
                    is_there = self._measure(PhaseKind.CANDIDATE, "candidate", cutover.budget_s)
                    self._look_for_rows(UPGRADED)
        is_back = self.come_back(open_after(self._steps), holds_windows=is_there)
        if is_back:
            self._after_undo()
        if is_there and is_back and self._order.forward:
            self._forward()
        for seen in crew.criteria.results():
            self._journal.add_exhibit(criterion_exhibit(seen))

    def come_back(self, names: Sequence[str], *, holds_windows: bool = False) -> bool:
        """Undo these steps, the last one first; it ends at one that cannot be undone. Who turns back holds nothing."""
        orders = {step.name: step for step in self._order.steps}
        for step in (orders[name] for name in reversed(names)):
            if not step.undo:
                self._crew.listener.phase(f"undo: {step.name}: there is no way back from it")
                return False
            if self._do(step, Direction.UNDO).outcome is not StepOutcome.DONE:
                return False
            if holds_windows:
                self._hold_window(self._before_it(step))
        return True

    def _before(self) -> None:
        crew, cutover = self._crew, self._order.settings.cutover
        crew.facts(Side.BASELINE)
        for question in crew.questions:
            self._ask(question.ask_before)
        if crew.rows is not None:
            self._ask(crew.rows.begin)
        self._measure(PhaseKind.BEFORE, "before", cutover.budget_s)

    def _has_backup(self) -> bool:
        """What cannot be undone must be restorable: without a proven backup no step begins."""
        check = self._order.settings.exit_plan.plan.backup.check
        if not check:
            return True
        self._crew.listener.phase(f"the backup: check {check}")
        found = self._ask(lambda: self._crew.verifier.verify((check,)))
        self._journal.add_exhibit(backup_exhibit(BackupSeen(check, found.outcome, found.sentence)))
        return found.outcome is StepOutcome.DONE

    def _after_undo(self) -> None:
        crew, cutover = self._crew, self._order.settings.cutover
        self._measure(PhaseKind.AFTER_UNDO, "after the undo", cutover.budget_s)
        self._look_for_rows(UNDONE)
        for question in crew.questions:
            self._journal.add_exhibit(answer_exhibit(self._ask(question.ask_after)))

    def _forward(self) -> None:
        """The upgrade once more, with what cannot be undone, and then its repair; back, when it does not get there."""
        with self._watched():
            is_there = self._go([step for step in self._order.steps if step.run])
        if not is_there:
            self.come_back(open_after(self._steps))
        elif all(
            self._do(step, Direction.FORWARD).outcome is StepOutcome.DONE for step in self._order.forward
        ):
            with self._watched():
                self._measure(PhaseKind.REPAIRED, "repaired", self._order.settings.cutover.budget_s)

    # --- phases

    @contextmanager
    def _phase(self, kind: PhaseKind, name: str) -> Iterator[None]:
        """Kept when it is over, also when it is cut short."""
        began_s = self._crew.pace.now_s()
        self._phases += 1
        number = self._phases
        try:
            yield
        finally:
            phase = CutoverPhase(kind, self._journal.clean(name), began_s, self._crew.pace.now_s())
            self._journal.add_exhibit(phase_exhibit(number, phase))

    def _measure(self, kind: PhaseKind, name: str, for_s: float) -> bool:
        """A while to settle, then a while that is measured; False when a criterion has fired meanwhile."""
        settle_s = self._order.settings.cutover.settle_s
        self._crew.listener.phase(f"{name}: {settle_s:g} s to settle, {for_s:g} s measured")
        with self._phase(PhaseKind.SETTLING, f"settling, {name}"):
            self._hold(settle_s)
        with self._phase(kind, name):
            self._hold(for_s)
        return not self._is_to_turn_back()

    def _hold(self, for_s: float) -> None:
        """Let load and probes go on; it ends early when there is a reason to turn back."""
        pace = self._crew.pace
        until_s = pace.now_s() + for_s
        while (left_s := until_s - pace.now_s()) > 0:
            self._crew.listener.load(for_s - left_s, for_s, "")
            pace.attend(min(LOOK_S, left_s))
            self._look()
            if self._is_watching and self._is_to_turn_back():
                return

    def _hold_window(self, step: StepOrder | None) -> None:
        """The state in which this step is the last one that is done."""
        if step is None or not step.window:
            return
        with self._phase(PhaseKind.WINDOW, step.window):
            self._crew.listener.phase(f"mixed window: {step.window}")
            self._hold(self._order.settings.cutover.window_s)

    def _before_it(self, step: StepOrder) -> StepOrder | None:
        position = self._order.steps.index(step)
        return self._order.steps[position - 1] if position else None

    # --- steps

    def _go(self, steps: Sequence[StepOrder]) -> bool:
        """Apply these, one after the other; False as soon as there is a reason to turn back."""
        for position, step in enumerate(steps, start=1):
            if self._do(step, Direction.APPLY).outcome is not StepOutcome.DONE:
                return False
            if position < len(steps):
                self._hold_window(step)
            if self._is_watching and self._is_to_turn_back():
                return False
        return True

    def _do(self, step: StepOrder, direction: Direction) -> StepRecord:
        """One step, stored before it runs and after it."""
        command = step.command(direction)
        self._crew.listener.phase(f"{direction}: {step.name}")
        record = StepRecord(
            number=len(self._steps) + 1,
            direction=direction,
            name=step.name,
            command=self._journal.clean(shlex.join(command)),
            began_s=self._crew.pace.now_s(),
        )
        self._steps.append(record)
        self._crew.ran(record.began_s, math.inf)
        self._journal.add_exhibit(step_exhibit(record))
        with self._phase(PhaseKind.STEP, f"{direction}: {step.name}"):
            record = self._run(record, command, step)
            if direction is not Direction.UNDO and record.outcome is StepOutcome.DONE:
                record = self._verify(record, step)
        self._steps[-1] = record
        self._crew.ran(record.began_s, self._crew.pace.now_s())
        self._journal.add_exhibit(step_exhibit(record))
        if record.outcome is not StepOutcome.DONE:
            self._crew.listener.phase(f"{direction}: {step.name}: {record.outcome}: {record.sentence}")
        return record

    def _run(self, record: StepRecord, command: Sequence[str], step: StepOrder) -> StepRecord:
        log = self._crew.log_dir / f"step-{record.number:03d}-{record.direction}.log"
        try:
            running = self._crew.runner.start(command, log)
        except OSError as error:
            why = self._journal.clean(f"{command[0]!r} cannot be run: {error.strerror or error}")
            return replace(
                record, outcome=StepOutcome.NOT_STARTED, ended_s=self._crew.pace.now_s(), sentence=why
            )
        said = ""
        try:
            if running.pid:
                process = StepProcess(record.number, running.pid, process_of(running.pid))
                self._journal.add_exhibit(process_exhibit(process))
            outcome, why = self._wait_for(running, record.began_s + step.timeout_s, step.timeout_s)
            ended_s = self._crew.pace.now_s()
        finally:
            said = running.close()
        last = said.rpartition("\n")[2]
        sentence = self._journal.clean(f"{why}{': ' if last else ''}{last}") if why else ""
        return replace(record, outcome=outcome, ended_s=ended_s, sentence=sentence, said=said)

    def _wait_for(self, running: RunningStep, until_s: float, timeout_s: float) -> tuple[StepOutcome, str]:
        pace = self._crew.pace
        while True:
            try:
                code = running.exit_code()
            except NotReady as error:
                return StepOutcome.FAILED, str(error)
            if code is not None:
                return (StepOutcome.DONE, "") if code == 0 else (StepOutcome.FAILED, f"exit code {code}")
            if pace.now_s() >= until_s:
                return StepOutcome.TIMED_OUT, f"it took over {timeout_s:g} s, and was ended"
            pace.attend(POLL_S)
            self._look()  # a step is not broken off in its middle: it turns back when this one has ended

    def _verify(self, record: StepRecord, step: StepOrder) -> StepRecord:
        if not step.verify:
            return record
        found = self._ask(lambda: self._crew.verifier.verify(step.verify))
        now_s = self._crew.pace.now_s()
        return replace(record, outcome=found.outcome, sentence=found.sentence, verified_s=now_s)

    # --- what is watched

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Meanwhile somebody looks at the criteria."""
        crew = self._crew
        crew.begin_watch(crew.pace.now_s())
        crew.criteria.begin(crew.pace.now_s())
        self._is_watching = True
        try:
            yield
        finally:
            self._is_watching = False
            crew.criteria.rest(crew.pace.now_s())

    def _ask(self, question: Callable[[], T]) -> T:
        """Its answer; criteria are looked at while it is awaited."""
        return self._crew.pace.ask(question, self._look)

    def _look(self) -> None:
        now_s = self._crew.pace.now_s()
        if self._is_watching and now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            self._crew.criteria.look(now_s, self._crew.look())

    def _is_to_turn_back(self) -> bool:
        """A criterion has fired, or nothing more can be learnt: then it is time to go back."""
        return self._crew.criteria.fired is not None or bool(self._crew.trouble())

    def _look_for_rows(self, when: str) -> None:
        rows = self._crew.rows
        if rows is not None:
            self._journal.add_exhibit(rows_exhibit(self._ask(lambda: rows.look(when))))
