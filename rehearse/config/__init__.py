"""rehearse.toml -> frozen settings; every mistake names file, key, value, and what is allowed."""

from __future__ import annotations

from rehearse.config.checks import Checks
from rehearse.config.effective import effective_toml, secrets_of
from rehearse.config.exit_plan import ExitPlanSettings
from rehearse.config.judging import EndpointObjectives, JudgeSettings, NoiseSettings, Objectives
from rehearse.config.load import Load, RigSettings, Scenario
from rehearse.config.loading import load_settings
from rehearse.config.policy import policy_hash, policy_of
from rehearse.config.settings import BaselineSettings, ReportSettings, Settings, StoreSettings
from rehearse.config.targets import Safety, Target, Tls

__all__ = [
    "BaselineSettings",
    "Checks",
    "EndpointObjectives",
    "ExitPlanSettings",
    "JudgeSettings",
    "Load",
    "NoiseSettings",
    "Objectives",
    "ReportSettings",
    "RigSettings",
    "Safety",
    "Scenario",
    "Settings",
    "StoreSettings",
    "Target",
    "Tls",
    "effective_toml",
    "load_settings",
    "policy_hash",
    "policy_of",
    "secrets_of",
]
