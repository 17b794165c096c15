"""By which policy a stored run is judged, and where its reports lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from rehearse.codec import to_bytes
from rehearse.config import Settings, policy_of
from rehearse.errors import ConfigError, nearest
from rehearse.model import Policy

_JUDGING = ("objectives.", "judge.", "load.rig.")


class PolicyChoice(StrEnum):
    """By which policy a stored run is judged."""

    AS_RECORDED = "as-recorded"
    NOW = "now"


def policy_to_judge_by(settings: Settings, choice: str, changed: Iterable[str]) -> Policy | None:
    """The settings' own policy when it is asked for; None for the one that was fixed before the run.

    Raises ConfigError for another word, and when `changed` names settings that would have no effect.
    """
    if choice not in tuple(PolicyChoice):
        raise ConfigError(f"--policy {choice!r}: {nearest(choice, [one.value for one in PolicyChoice])}")
    if choice == PolicyChoice.NOW:
        return policy_of(settings)
    idle = sorted(key for key in changed if key.startswith(_JUDGING))
    if idle:
        raise ConfigError(
            f"--set {idle[0]} changes nothing here: a run is judged by the policy that was fixed before it. "
            "Add --policy now to see what other objectives would say; the run keeps its own verdict."
        )
    return None


def report_dir(settings: Settings, run_id: str) -> Path:
    """The folder of one run's reports."""
    return settings.root / settings.report.dir / run_id


def folder_of_other_policy(folder: Path, policy: Policy) -> Path:
    """Beside the run's own reports: what another policy says of it never takes their place."""
    return folder.with_name(f"{folder.name}-other-policy-{hashlib.sha256(to_bytes(policy)).hexdigest()[:8]}")
