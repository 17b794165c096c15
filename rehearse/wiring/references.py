"""The stored baseline that a comparison refers to."""

from __future__ import annotations

from dataclasses import replace

from rehearse.checks.contract import contracts_of
from rehearse.checks.exhibits import check_evidence
from rehearse.checks.values import differences_of
from rehearse.config import Settings
from rehearse.errors import NotReady, StoreError
from rehearse.journal import states_of
from rehearse.metrics.exhibits import series_of
from rehearse.model import OTHER_RIG_KEY, CheckEvidence, CheckResult, Mode, Phase, Reference, RunRecord
from rehearse.store.records import Store
from rehearse.wiring.comparability import check_comparable, other_machine, staleness


def stored_baseline(store: Store, name: str, settings: Settings) -> RunRecord:
    """The recording of that name. Raises NotReady, with the way out, when there is none."""
    try:
        return store.baseline(name)
    except StoreError:
        raise
    except NotReady as error:
        raise NotReady(f"{error}{way_without_baseline(settings)}") from None


def way_without_baseline(settings: Settings) -> str:
    """The end of a message: two sides side by side can do without a recording, one side alone cannot."""
    if settings.resolved_mode is Mode.RECORDED:
        return ""
    return " Or go without one: `rehearse compare --without-baseline` assumes what two equal sides differ by."


def refer_to(
    stored: RunRecord | None, record: RunRecord, store: Store, settings: Settings
) -> tuple[RunRecord, Reference | None]:
    """Tie a comparison to its baseline. Raises NotComparable when conditions differ that must not."""
    if stored is None:
        return record, None
    check_comparable(settings, stored, record)
    incidents = (*record.incidents, *staleness(settings, stored, record))
    record = replace(
        record,
        baseline_name=stored.baseline_name,
        baseline_run_id=stored.run_id,
        incidents=incidents,
        provenance={**record.provenance, **other_machine(settings, stored, record)},
    )
    return record, reference_of(store, record)


def reference_of(store: Store, record: RunRecord) -> Reference | None:
    """The stored blocks that a comparison refers to. Raises StoreError when they are not what was sealed."""
    if record.baseline_run_id is None:
        return None
    store.verify(record.baseline_run_id)
    blocks = store.blocks(record.baseline_run_id)
    exhibits = store.exhibits(record.baseline_run_id)
    return Reference(
        record.baseline_name or record.baseline_run_id,
        tuple(block for block in blocks if block.phase is Phase.ROUND),
        tuple(block for block in blocks if block.phase is not Phase.ROUND),
        check_evidence(store.exhibits(record.baseline_run_id)).on_baseline,
        contracts_of(exhibits),
        differences_of(exhibits),
        series_of(exhibits),
        states_of(exhibits),
        record.provenance.get(OTHER_RIG_KEY, ""),
    )


def recorded_checks(settings: Settings, store: Store, found: CheckEvidence) -> tuple[CheckResult, ...]:
    """How the checks of now came out when the baseline was recorded: who else could be asked in recorded mode?"""
    if settings.resolved_mode is not Mode.RECORDED:
        return ()
    try:
        stored = store.baseline(settings.baseline.name)
    except NotReady:  # none yet: then nothing is known to have been broken before
        return ()
    ids = {result.check_id for result in found.on_candidate}
    results = check_evidence(store.exhibits(stored.run_id)).on_baseline
    return tuple(result for result in results if result.check_id in ids)
