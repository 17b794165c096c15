"""Where an environment stands: what earlier cutovers began there and did not take back. Read from the store."""

from __future__ import annotations

from collections.abc import Iterator

from rehearse.cutover.exhibits import OF_STANDING, cutover_evidence
from rehearse.cutovers import PastCutover, Standing, StepOutcome, standing_after
from rehearse.cutting_over.orders import CutoverOrder
from rehearse.errors import ConfigError, NotReady, nearest
from rehearse.holding import is_gone
from rehearse.model import RunKind
from rehearse.store.leases import Holder
from rehearse.store.records import Store


def standing_in(store: Store, place: str) -> Standing:
    """What was left there. A run that begins anew only does so where nothing was left, so older ones do not matter."""
    found: list[PastCutover] = []
    for run in _past_cutovers(store):
        if run.terms.place == place:
            found.append(run)
            if run.begins_anew:
                break
    return standing_after(reversed(found))


def runs_of_standings(store: Store) -> frozenset[str]:
    """The runs from which is known where each environment stands: without them it would be forgotten."""
    found, settled = set[str](), set[str]()
    for run in _past_cutovers(store):
        if run.terms.place not in settled:
            found.add(run.run_id)
            settled.update([run.terms.place] if run.begins_anew else [])
    return frozenset(found)


def _past_cutovers(store: Store) -> Iterator[PastCutover]:
    """All of them, newest first; each is only read when it is asked for."""
    for run_id in store.run_ids(RunKind.CUTOVER):
        evidence = cutover_evidence(store.exhibits(run_id, OF_STANDING))
        if evidence.terms is not None:
            yield PastCutover(run_id, evidence.terms, evidence.steps, evidence.processes)


def refuse_to_start_anew(standing: Standing) -> None:
    """Raise NotReady, saying where it stands and what to do, when something was left behind."""
    if standing.is_clear:
        return
    listed = ", ".join(repr(name) for name in standing.open)
    where = f"{_last(standing)}{_cut_off(standing)}"
    raise NotReady(
        f"run {standing.run_id} left steps behind: {where}; begun and not taken back: {listed}. Nothing was touched"
        " now. `rehearse cutover --undo` runs their undo, the last one first; if you have put the environment back by"
        " hand, say so: `rehearse cutover --restored-by NAME`."
    )


def _last(standing: Standing) -> str:
    last = standing.last
    if last is None:
        return "it ended early"
    how = (
        "it ended in the middle of"
        if last.outcome is StepOutcome.BEGUN
        else f"it ended ({last.outcome}) after"
    )
    return f"{how} {last.direction} {last.name!r}"


def _still_runs(standing: Standing) -> bool | None:
    """Whether the command that was cut off outlived its `rehearse`; None: that cannot be seen from here."""
    if standing.process is None:
        return False
    is_over = is_gone(Holder("", standing.run_id, "", standing.process.pid, standing.process.process, ""))
    return None if is_over is None else not is_over


def _cut_off(standing: Standing) -> str:
    which = f"(process {standing.process.pid})" if standing.process is not None else ""
    return {
        False: "",
        True: f", and its command still runs {which}",
        None: f", and whether its command still runs {which} cannot be seen from here",
    }[_still_runs(standing)]


def check_way_back(standing: Standing, order: CutoverOrder, *, has_ended: bool = False) -> None:
    """Raise NotReady when there is nothing to take back or no way back, ConfigError when a step is not in the plan.

    With `has_ended` somebody has looked, where it cannot be seen from here, and the command that was cut off has ended.
    """
    if standing.is_clear:
        raise NotReady(f"nothing is to be taken back at {order.terms.place}: no cutover left a step behind.")
    _refuse_to_race(standing, has_ended=has_ended)
    steps = {step.name: step for step in order.steps}
    for name in standing.open:
        if name not in steps:
            raise ConfigError(
                f"{order.settings.source.name}: exit_plan.steps: run {standing.run_id} began {name!r}, which is gone"
                f" from there. {nearest(name, steps)} Put it back for its undo, or undo it by hand and say"
                " `rehearse cutover --restored-by NAME`."
            )
    dead_end = next((steps[name] for name in reversed(standing.open) if not steps[name].undo), None)
    if dead_end is not None:
        raise NotReady(
            f"step {dead_end.name!r} was begun, and `rehearse` has no undo for it: {dead_end.obstacle}. Nothing was"
            " touched now. Go forward, or restore the backup, and then say `rehearse cutover --restored-by NAME`."
        )


def _refuse_to_race(standing: Standing, *, has_ended: bool) -> None:
    """Only a command that is seen to have ended has ended, or one that somebody has looked for."""
    still_runs = _still_runs(standing)
    if still_runs is False or (still_runs is None and has_ended):
        return
    pid = standing.process.pid if standing.process is not None else ""
    advice = f"Wait for it to end, or end it: kill -- -{pid}"
    if still_runs is None:
        advice = (
            "It was begun on another machine, in another container, or before a restart: look there. Once it has ended,"
            " say so: `rehearse cutover --undo --ended`."
        )
    raise NotReady(f"{_last(standing)}{_cut_off(standing)}: an undo beside it would race it. {advice}")
