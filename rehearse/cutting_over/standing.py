"""Where an environment stands: what earlier cutovers began there and did not take back. Read from the store."""

from __future__ import annotations

from rehearse.cutover.exhibits import OF_STANDING, cutover_evidence
from rehearse.cutovers import PastCutover, Standing, StepOutcome, standing_after
from rehearse.cutting_over.orders import CutoverOrder
from rehearse.errors import ConfigError, NotReady, nearest
from rehearse.holding import is_gone
from rehearse.model import RunKind
from rehearse.store.leases import Holder
from rehearse.store.records import Store

MOST_RUNS = 1000  # that are looked through, the newest


def standing_in(store: Store, place: str) -> Standing:
    """What was left there. A run that begins anew only does so where nothing was left, so older ones do not matter."""
    found: list[PastCutover] = []
    for record in store.runs(MOST_RUNS):
        if record.kind is not RunKind.CUTOVER:
            continue
        exhibits = store.exhibits(record.run_id)
        evidence = cutover_evidence(one for one in exhibits if one.kind in OF_STANDING)
        if evidence.terms is None or evidence.terms.place != place:
            continue
        found.append(PastCutover(record.run_id, evidence.terms, evidence.steps, evidence.processes))
        if evidence.terms.restored_by or (evidence.steps and not evidence.terms.is_undo_only):
            break
    return standing_after(reversed(found))


def refuse_to_start_anew(standing: Standing) -> None:
    """Raise NotReady, saying where it stands and what to do, when something was left behind."""
    if standing.is_clear:
        return
    listed = ", ".join(repr(name) for name in standing.open)
    where = f"{_last(standing)}{_still_running(standing)}"
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


def _still_running(standing: Standing) -> str:
    """A command can outlive a `rehearse` that was killed."""
    process = standing.process
    if (
        process is None
        or is_gone(Holder("", standing.run_id, "", process.pid, process.process, "")) is not False
    ):
        return ""
    return f", and its command still runs (process {process.pid})"


def check_way_back(standing: Standing, order: CutoverOrder) -> None:
    """Raise NotReady when there is nothing to take back or no way back, ConfigError when a step is not in the plan."""
    if standing.is_clear:
        raise NotReady(f"nothing is to be taken back at {order.terms.place}: no cutover left a step behind.")
    if running := _still_running(standing):
        raise NotReady(
            f"{_last(standing)}{running}: an undo beside it would race it. Wait for it to end, or end it:"
            f" kill -- -{standing.process.pid if standing.process else ''}"
        )
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
