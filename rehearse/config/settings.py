"""The settings as a whole, every default filled in: frozen, and nothing in them unknown or without its unit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from rehearse.config.checks import Checks
from rehearse.config.contract import ContractSettings, WaiverSettings
from rehearse.config.cutover import CutoverSettings
from rehearse.config.edges import Edges
from rehearse.config.exit_plan import ExitPlanSettings, GateSettings, PromotionSettings
from rehearse.config.fields import (
    Duration,
    ModeWord,
    Name,
    Percent,
    Place,
    RowCounts,
    StoreUrl,
    Whole,
    Words,
    between,
)
from rehearse.config.judging import JudgeSettings, Objectives
from rehearse.config.load import Load, Scenario
from rehearse.config.quantities import write_duration, write_percent
from rehearse.config.section import Section, is_table
from rehearse.config.series import PrometheusSettings, SeriesSettings
from rehearse.config.targets import Safety, Target, Targets, complaint_about_targets
from rehearse.errors import ConfigError
from rehearse.model import Mode, Side

HOUR_S, DAY_S = 3600.0, 86400.0
# Two starts of the same code differ by more than minutes of load leave open, so short rounds decide soonest
# (docs/verdict.md). Shorter ones are mostly warm-up; more than eight gain little.
SHORT_ROUND_S, SHORT_ROUND_BLOCKS, MOST_ROUNDS = 36.0, 9, 8


class BaselineSettings(Section):
    """How `rehearse baseline` records the known-good version."""

    name: Name = Field(default="default", description="Under which the baseline is stored, and looked for.")
    rounds: Annotated[Whole, between(1, 100, "each restarts the targets")] = Field(
        default=8, description="Restarts of the targets, each with warm-up and blocks."
    )
    budget_s: Annotated[
        Duration, between(1, 6 * HOUR_S, "it bounds the load on the target", write_duration)
    ] = Field(default=40.0, description="Measured load of each round.")
    max_age_s: Annotated[Duration, between(1, 3660 * DAY_S, "systems change", write_duration)] = Field(
        default=30 * DAY_S, description="An older baseline cannot end in GO."
    )
    declared_differences: Words = Field(
        default=(),
        description="What the upgrade changes, and thus may differ: keys of the provenance, or facts (`facts.host`).",
    )


class StateSettings(Section):
    """What is asked of the data that targets say they have (`state` of a target)."""

    most_difference: Annotated[Percent, between(0, 1, "it is of the rows", write_percent)] = Field(
        default=0.10, description="A larger difference of the sides' row counts is not comparable."
    )
    production_rows: RowCounts = Field(
        default={}, description="How many rows production has, by the names that `state` gives them."
    )
    least_of_production: Annotated[Percent, between(0, 1, "it is of the rows", write_percent)] = Field(
        default=0.10, description="With a smaller part of production's rows the report warns."
    )


class ReportSettings(Section):
    """Where reports go."""

    dir: Place = Field(
        default=Path("reports"), description="A folder for each run is made in it.", validate_default=True
    )


class StoreSettings(Section):
    """Where everything that is recorded is kept."""

    url: StoreUrl = Field(
        default=SecretStr("sqlite:///.rehearse/rehearse.db"),
        description="Database: a SQLite file, or `postgresql+psycopg://...` for a team. Its password is never shown.",
        validate_default=True,
    )


class Settings(Section):
    """All that rehearse.toml says, with every default filled in."""

    title: Name = Field(default="Upgrade rehearsal", description="Heads the report.")
    mode: ModeWord | None = Field(
        default=None,
        description="Left out: `paired` with two targets, `recorded` with a single one in place. `recorded` with two"
        " loads only the candidate, against what is stored of the baseline.",
    )
    targets: Targets = Field(
        default=(), description="The environments: one baseline and one candidate, or a single one in place."
    )
    safety: Safety = Field(description="What may be loaded.")
    load: Load = Field(description="How much load, and for how long.")
    scenarios: tuple[Scenario, ...] = Field(
        default=(), description="What users do: `[[scenarios]]`, one or more."
    )
    objectives: Objectives = Field(description="What worsening is accepted.")
    judge: JudgeSettings = Field(description="How evidence becomes a verdict.")
    contract: ContractSettings = Field(description="What the answers have in common.")
    waivers: tuple[WaiverSettings, ...] = Field(
        default=(), description="Findings that somebody accepts: `[[waivers]]`."
    )
    state: StateSettings = Field(description="What is asked of the data that targets say they have.")
    prometheus: PrometheusSettings = Field(description="Where server-side series come from.")
    series: tuple[SeriesSettings, ...] = Field(
        default=(), description="Server-side series that are judged: `[[series]]`."
    )
    baseline: BaselineSettings = Field(description="How the known-good version is recorded.")
    checks: Checks = Field(description="The codified breaks of the past.")
    edges: Edges = Field(description="Conditions that are injected on purpose, under load.")
    exit_plan: ExitPlanSettings = Field(description="How to get through, back or forward.")
    cutover: CutoverSettings = Field(description="How the exit plan is rehearsed.")
    gate: GateSettings = Field(description="What a promotion asks for.")
    promotion: PromotionSettings = Field(description="The environments that a candidate goes through.")
    report: ReportSettings = Field(description="Where reports go.")
    store: StoreSettings = Field(description="Where recordings are kept.")
    source: Path = Field(alias="<source>")
    secrets: tuple[SecretStr, ...] = Field(default=(), alias="<secrets>", repr=False)

    @model_validator(mode="before")
    @classmethod
    def _every_table_is_there(cls, given: dict[str, object]) -> dict[str, object]:
        """Left out, a table is empty: its own defaults hold, and its own mistakes are named."""
        tables = [field.alias for field in cls.model_fields.values() if is_table(field.annotation)]
        return {str(table): {} for table in tables} | given

    @property
    def root(self) -> Path:
        """The folder that relative paths start from."""
        return self.source.parent

    @property
    def store_url(self) -> str:
        """The store's url; a relative SQLite path is relative to the project."""
        url = self.store.url.get_secret_value()
        prefix = "sqlite:///"
        if url.startswith(prefix) and not url.startswith(prefix + "/") and url != prefix + ":memory:":
            return f"{prefix}{self.root / url.removeprefix(prefix)}"
        return url

    @property
    def resolved_mode(self) -> Mode:
        """How the sides are compared: decided by this file, never by what happens to answer."""
        if complaint := complaint_about_targets(self.targets, self.mode):
            raise ConfigError(f"{self.source.name}: {complaint}")
        return self.mode or (Mode.PAIRED if len(self.targets) == 2 else Mode.RECORDED)

    @property
    def resolved_rounds(self) -> int:
        """The rounds of a comparison: short ones, as far as its budget holds them and a target can be restarted."""
        load = self.load
        if load.rounds is not None:
            return load.rounds
        if not any(target.can_restart for target in self.targets):
            return 1
        short_s = max(SHORT_ROUND_S, SHORT_ROUND_BLOCKS * load.block_s)
        return min(max(int(load.budget_s / short_s + 1e-9), 1), MOST_ROUNDS)

    def target(self, side: Side) -> Target:
        """The environment of one side; in place it is the same for both."""
        wanted = (str(side), "in-place")
        found = next((target for target in self.targets if target.role in wanted), None)
        if found is None:
            raise ConfigError(f"{self.source.name}: targets: there is no {side}.")
        return found
