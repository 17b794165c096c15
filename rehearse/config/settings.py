"""The settings as a whole, every default filled in: frozen, and nothing in them unknown or without its unit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from rehearse.config.checks import Checks
from rehearse.config.contract import ContractSettings, WaiverSettings
from rehearse.config.edges import Edges
from rehearse.config.fields import Duration, ModeWord, Name, Place, StoreUrl, Text, Whole, Words, between
from rehearse.config.judging import JudgeSettings, Objectives
from rehearse.config.load import Load, Scenario
from rehearse.config.quantities import write_duration
from rehearse.config.section import Section, is_table
from rehearse.config.targets import Safety, Target, Targets, complaint_about_targets
from rehearse.errors import ConfigError
from rehearse.model import Mode, Side

HOUR_S, DAY_S = 3600.0, 86400.0


class BaselineSettings(Section):
    """How `rehearse baseline` records the known-good version."""

    name: Name = Field(default="default", description="Under which the baseline is stored, and looked for.")
    rounds: Annotated[Whole, between(1, 100, "each restarts the targets")] = Field(
        default=3, description="Restarts of the targets, each with warm-up and blocks."
    )
    budget_s: Annotated[
        Duration, between(1, 6 * HOUR_S, "it bounds the load on the target", write_duration)
    ] = Field(default=60.0, description="Measured load of each round.")
    max_age_s: Annotated[Duration, between(1, 3660 * DAY_S, "systems change", write_duration)] = Field(
        default=30 * DAY_S, description="An older baseline cannot end in GO."
    )
    declared_differences: Words = Field(
        default=(),
        description="Keys of the provenance that the upgrade changes, and that therefore may differ.",
    )


class ExitPlan(Section):
    """How to get back, and until when that is cheap."""

    strategy: Literal["roll-back", "roll-forward"] = Field(
        default="roll-back", description="What is done when the upgrade goes wrong."
    )
    decide_by: Text = Field(
        default="", description="The last moment at which going back is cheap, such as `T+20m`."
    )
    decider: Text = Field(default="", description="Who decides, by role.")
    text: Text = Field(default="", description="The plan itself, as the report shows it.")


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
    baseline: BaselineSettings = Field(description="How the known-good version is recorded.")
    checks: Checks = Field(description="The codified breaks of the past.")
    edges: Edges = Field(description="Conditions that are injected on purpose, under load.")
    exit_plan: ExitPlan = Field(description="How to get back.")
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

    def target(self, side: Side) -> Target:
        """The environment of one side; in place it is the same for both."""
        wanted = (str(side), "in-place")
        found = next((target for target in self.targets if target.role in wanted), None)
        if found is None:
            raise ConfigError(f"{self.source.name}: targets: there is no {side}.")
        return found
