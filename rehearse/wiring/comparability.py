"""What may be compared with what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from rehearse.config import Settings
from rehearse.errors import NotComparable
from rehearse.journal import Journal
from rehearse.judge.data import data_faults
from rehearse.model import OTHER_RIG_KEY, Incident, Mode, ReasonCode, Reference, RunRecord, Side

COMPARABLE_PREFIXES = ("scenario.", "schedule", "load.", "rig.")
MACHINE = ("rig.cpu", "rig.cores", "rig.kernel")  # of the rig; side by side it is the same for both


def check_comparable(settings: Settings, stored: RunRecord, record: RunRecord) -> None:
    """Both were loaded alike: mode, scenarios, schedule and rig. Raises NotComparable."""
    declared = set(settings.baseline.declared_differences)
    keys = sorted(
        key
        for key in {**stored.provenance, **record.provenance}
        if key.startswith(COMPARABLE_PREFIXES)
        and key not in declared
        and not (record.mode is Mode.PAIRED and key in MACHINE)  # see `other_machine`
    )
    different = [key for key in keys if stored.provenance.get(key) != record.provenance.get(key)]
    if stored.mode is not record.mode:
        raise NotComparable(
            f"baseline {stored.baseline_name!r} was recorded in {stored.mode} mode, this is {record.mode}."
        )
    if different:
        raise NotComparable(
            _differences(stored, {k: (stored.provenance.get(k), record.provenance.get(k)) for k in different})
        )


def other_machine(settings: Settings, stored: RunRecord, record: RunRecord) -> Mapping[str, str]:
    """Where the baseline was recorded, if that was not here and is not declared."""
    told = [
        f"{key} was {_short(stored.provenance.get(key))}, is {_short(record.provenance.get(key))}"
        for key in MACHINE
        if stored.provenance.get(key) != record.provenance.get(key)
        and key not in settings.baseline.declared_differences
    ]
    return {OTHER_RIG_KEY: "; ".join(told)} if told else {}


def check_same_baseline(settings: Settings, stored: RunRecord, record: RunRecord) -> None:
    """The known-good side must say of itself what it said when it was recorded; numbers (row counts) may move."""
    declared = set(settings.baseline.declared_differences)
    then, now = _baseline_words(stored), _baseline_words(record)
    if record.mode is not Mode.PAIRED:
        return
    different = {
        f"facts.{key}": (then.get(key), now.get(key))
        for key in sorted({**then, **now})
        if then.get(key) != now.get(key) and f"facts.{key}" not in declared
    }
    if different:
        raise NotComparable(_differences(stored, different))


def check_same_data(journal: Journal, reference: Reference | None) -> None:
    """Both sides must work on the same data, as far as they say. Raises NotComparable."""
    faults = data_faults(journal.evidence(reference))
    if faults:
        raise NotComparable(
            f"{faults[0].finding.sentence}. Give both sides the same data (`prepare`, `reset`), or list what the "
            "upgrade changes in baseline.declared_differences."
        )


def staleness(settings: Settings, stored: RunRecord, record: RunRecord) -> tuple[Incident, ...]:
    """What the judge must know of a recording that is too old, or from the future."""
    age = datetime.fromisoformat(record.started_at) - datetime.fromisoformat(stored.started_at)
    limit = timedelta(seconds=settings.baseline.max_age_s)
    if timedelta(0) <= age <= limit:
        return ()
    if age < timedelta(0):
        sentence = f"baseline {stored.baseline_name!r} was recorded {-age} in the future: check the clock"
    else:
        sentence = (
            f"baseline {stored.baseline_name!r} is {age.days} days old; baseline.max_age allows {limit.days}"
        )
    return (Incident(ReasonCode.BASELINE_STALE, sentence),)


def _baseline_words(record: RunRecord) -> dict[str, str]:
    facts = next((target.facts for target in record.targets if target.side is Side.BASELINE), {})
    return {key: value for key, value in facts.items() if not value.lstrip("-").isdigit()}


def _differences(stored: RunRecord, different: Mapping[str, tuple[str | None, str | None]]) -> str:
    listed = "; ".join(
        f"{key} was {_short(then)}, is {_short(now)}" for key, (then, now) in different.items()
    )
    return (
        f"not comparable with baseline {stored.baseline_name!r} of {stored.started_at}: {listed}."
        " Record a new baseline, or list what the upgrade changes in baseline.declared_differences."
    )


def _short(value: str | None) -> str:
    return "absent" if value is None else repr(value[:40])
