"""The exit plan, and what a promotion asks for, as the file has them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from rehearse import exit_plan as plans
from rehearse.config.contract import Day
from rehearse.config.fields import Duration, Kind, Name, Switch, Text, Word, Words, between, read_argv
from rehearse.config.quantities import write_duration
from rehearse.config.section import Section

if TYPE_CHECKING:
    from rehearse.config.settings import Settings

DAY_S = 86_400.0


def _read_moment(given: object) -> str:
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        moment = None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError("is not a moment with its offset; write it like 2026-12-24T18:00:00+01:00")
    return moment.isoformat()


Moment = Annotated[
    str, Kind("moment", "2026-12-24T18:00:00+01:00", from_text="either"), BeforeValidator(_read_moment)
]


def _read_deed(given: object) -> str | tuple[str, ...]:
    if isinstance(given, str) and given.strip():
        return given
    return read_argv(given)


Deed = Annotated[
    str | tuple[str, ...],
    Kind("command, or words for what is done by hand", "['make', 'deploy']", from_text="either"),
    PlainValidator(_read_deed),
]
Timeout = Annotated[Duration, between(0.1, DAY_S, "somebody waits for it", write_duration)]


class PlannedStep(Section):
    """One step of the upgrade, in its order: `[[exit_plan.steps]]`, one or more."""

    name: Name = Field(description="What it does, in words that a tired person understands.")
    run: Deed | None = Field(
        default=None,
        description="The command; or, in words, what is done by hand. Left out: the name says it.",
    )
    undo: Deed | None = Field(default=None, description="What takes it back, the same way.")
    verify: Words = Field(default=(), description="Ids of checks that must pass before the next step.")
    timeout_s: Timeout = Field(default=600.0, description="How long it may take, and its undo.")
    point_of_no_return: Switch = Field(
        default=False, description="From its begin on, going back is no longer the plan."
    )
    window: Text = Field(
        default="",
        description="What runs with what once it is done, such as `old app, new schema`: `rehearse cutover` holds that"
        " state under load, there and back.",
    )


class ForwardStep(Section):
    """One step from the broken candidate to its repair: `[[exit_plan.forward]]`."""

    name: Name = Field(description="What it does.")
    run: Deed | None = Field(default=None, description="The command, or words.")
    verify: Words = Field(default=(), description="Ids of checks that must pass before the next step.")
    timeout_s: Timeout = Field(default=600.0, description="How long it may take.")


class AbortCriterion(Section):
    """What makes the team turn back: `[[exit_plan.abort]]`. One of the last three says what measures it."""

    when: Name = Field(
        description="In words, with its limit: `more than 1 % of the orders fail for 2 minutes`."
    )
    objective: Text = Field(default="", description="A metric of `[objectives]`, such as `error_ratio`.")
    series: Text = Field(default="", description="The name of one of the `[[series]]`.")
    check: Text = Field(default="", description="The id of a check.")


class FreezeWindow(Section):
    """A time in which nothing is promoted: `[[exit_plan.freeze]]`."""

    begins: Moment = Field(description="From this moment on.")
    ends: Moment = Field(description="Up to this moment.")
    reason: Name = Field(description="Why; `rehearse gate` says it.")


class BackupEvidence(Section):
    """What can be restored when no step back is left."""

    what: Text = Field(default="", description="What is backed up, and where it lies.")
    max_age_s: Annotated[Duration, between(1, 366 * DAY_S, "data changes", write_duration)] | None = Field(
        default=None, description="How old it may be when the upgrade begins."
    )
    check: Text = Field(
        default="",
        description="The id of the check that looks at its age. `rehearse cutover` begins no step unless it passes.",
    )
    restore_rehearsed: Day | None = Field(default=None, description="When it was last restored, as a test.")


class ExitPlanSettings(Section):
    """How to get through, back or forward, and until when going back is cheap (docs/exit-plan.md)."""

    strategy: Literal["roll-back", "roll-forward"] = Field(
        default="roll-back", description="What is done when the upgrade goes wrong."
    )
    decide_by: Text = Field(
        default="", description="The last moment at which going back is cheap, such as `T+20m`."
    )
    decide_before: Text = Field(default="", description="The step that waits for the decision, by its name.")
    decider: Text = Field(default="", description="Who decides, by role.")
    text: Text = Field(default="", description="What else there is to say; the report shows it.")
    steps: tuple[PlannedStep, ...] = Field(default=(), description="The upgrade.")
    forward: tuple[ForwardStep, ...] = Field(default=(), description="The repair.")
    forward_rehearsed: Day | None = Field(
        default=None, description="When the forward steps were last rehearsed."
    )
    abort: tuple[AbortCriterion, ...] = Field(default=(), description="What makes you turn back.")
    freeze: tuple[FreezeWindow, ...] = Field(default=(), description="When nothing is promoted.")
    backup: BackupEvidence = Field(default=BackupEvidence(), description="What can be restored.")

    @property
    def plan(self) -> plans.ExitPlan:
        """The same, for those who do not read files."""
        backup = self.backup
        return plans.ExitPlan(
            strategy=self.strategy,
            decide_by=self.decide_by,
            decide_before=self.decide_before,
            decider=self.decider,
            text=self.text.strip(),
            steps=tuple(
                plans.Step(
                    one.name,
                    one.run or (),
                    one.undo or (),
                    one.verify,
                    one.timeout_s,
                    one.point_of_no_return,
                    one.window,
                )
                for one in self.steps
            ),
            forward=tuple(
                plans.ForwardStep(one.name, one.run or (), one.verify, one.timeout_s) for one in self.forward
            ),
            forward_rehearsed=self.forward_rehearsed or "",
            abort=tuple(
                plans.Criterion(one.when, one.objective, one.series, one.check) for one in self.abort
            ),
            freeze=tuple(plans.Freeze(one.begins, one.ends, one.reason) for one in self.freeze),
            backup=plans.Backup(backup.what, backup.max_age_s, backup.check, backup.restore_rehearsed or ""),
        )


class GateSettings(Section):
    """What `rehearse gate` asks for before a candidate is promoted."""

    requires: tuple[Literal["comparison", "checks", "cutover"], ...] = Field(
        default=("comparison",), description="The kinds of run that each must have said GO."
    )
    max_age_s: Annotated[Duration, between(60, 366 * DAY_S, "systems change", write_duration)] = Field(
        default=72 * 3600.0, description="An older run opens nothing."
    )
    identity: Words = Field(
        default=(),
        description="The facts that name a candidate, such as `digest`: all must be given. Left out: those given.",
    )
    sign_off: Switch = Field(
        default=False, description="GO alone is not enough: somebody must have signed (`rehearse decide`)."
    )


class PromotionSettings(Section):
    """The environments that a candidate goes through, each with the same rehearsal."""

    stages: tuple[Word, ...] = Field(
        default=(), description="In their order: `['dev', 'staging', 'production']`."
    )
    stage: Text = Field(
        default="", description="Which one this is; `--stage` and REHEARSE_PROMOTION__STAGE say it too."
    )


def faults_of(settings: Settings, checks: Collection[str], today: date) -> tuple[plans.Fault, ...]:
    """What is wrong with the exit plan of a project that has these checks."""
    measured = plans.Measured(
        checks=checks,
        objectives={str(rule.metric).replace(" ", "_") for rule in settings.objectives.rules},
        series={one.name for one in settings.series},
    )
    return plans.faults(settings.exit_plan.plan, measured, today)
