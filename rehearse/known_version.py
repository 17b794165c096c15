"""What may be recorded as known-good: the same version on both sides, and none that was rehearsed and did not pass."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from rehearse.errors import NotReady
from rehearse.model import Decision, RunKind, RunRecord, Side
from rehearse.redaction import cut
from rehearse.store.records import Store

_NAMES_A_VERSION = re.compile(
    r"(.*_)?(version|build|revision|release|commit|digest|tag|image)", re.IGNORECASE
)
_MOST_RUNS = 200  # the newest, that are looked through for a candidate


def check_same_version(record: RunRecord, declared: Collection[str], identity: Collection[str]) -> None:
    """Raise NotReady when the two sides of a baseline tell unlike facts: their difference would pass for the host's.

    Counts may differ, and what is `declared`; what names a version never: `identity`, or a fact that is called so.
    """
    if len(record.targets) < len(Side):
        return
    baseline, candidate = (_facts(record, side) for side in Side)
    different = [
        f"{key} is {_shown(baseline.get(key))} on the baseline and {_shown(candidate.get(key))} on the candidate"
        for key in sorted({*baseline, *candidate})
        if baseline.get(key) != candidate.get(key)
        and (
            _names_version(key, identity)
            or not (f"facts.{key}" in declared or _are_counts(baseline.get(key), candidate.get(key)))
        )
    ]
    if different:
        raise NotReady(
            "no baseline: its two sides must both run the known-good version, and they tell unlike facts: "
            f"{'; '.join(different)}. Deploy the known-good version on both and run `rehearse baseline`. A fact that "
            "names no version, and differs for another reason, can be listed in baseline.declared_differences."
        )


def check_no_failed_candidate(store: Store, record: RunRecord, identity: Collection[str]) -> None:
    """Raise NotReady when the baseline side runs what was rehearsed last as a candidate and was not GO."""
    here = _version(_facts(record, Side.BASELINE), identity)
    for past in store.runs(_MOST_RUNS):
        is_judged = past.kind in (RunKind.COMPARISON, RunKind.CUTOVER)
        if not here or not is_judged or _version(_facts(past, Side.CANDIDATE), identity) != here:
            continue
        if not _passed(store, past) and _version(_known_good(store, past), identity) != here:
            decision = past.verdict.decision if past.verdict is not None else "no verdict"
            told = cut(", ".join(f"{key} {value}" for key, value in here.items()), 200)
            raise NotReady(
                f"not recorded as a baseline: {told} is the candidate of run {past.run_id}, which ended in {decision}. "
                "Deploy the known-good version; or, if this one is to be known-good all the same, say so with "
                "`rehearse baseline --accept-candidate`."
            )
        return


def tells_version(record: RunRecord) -> bool:
    """Whether every side says anything of what it runs."""
    return all(target.facts for target in record.targets)


def _passed(store: Store, past: RunRecord) -> bool:
    """GO, or somebody took it upon themselves."""
    if past.verdict is not None and past.verdict.decision is Decision.GO:
        return True
    signed = store.sign_offs(past.run_id)
    return bool(signed) and signed[-1].decision is Decision.GO


def _known_good(store: Store, past: RunRecord) -> Mapping[str, str]:
    """What its baseline ran: beside the candidate, or when it was recorded."""
    beside = _facts(past, Side.BASELINE)
    if beside or past.baseline_run_id is None or not store.has_run(past.baseline_run_id):
        return beside
    return _facts(store.run(past.baseline_run_id), Side.BASELINE)


def _facts(record: RunRecord, side: Side) -> Mapping[str, str]:
    return next((target.facts for target in record.targets if target.side is side), {})


def _version(facts: Mapping[str, str], identity: Collection[str]) -> dict[str, str]:
    """What names the version; where nothing is called so, all that is no count."""
    named = {key: value for key, value in facts.items() if _names_version(key, identity)}
    return named or {key: value for key, value in facts.items() if not _are_counts(value)}


def _names_version(key: str, identity: Collection[str]) -> bool:
    return key in identity if identity else _NAMES_A_VERSION.fullmatch(key.rpartition(".")[2]) is not None


def _are_counts(*values: str | None) -> bool:
    return all(value is not None and value.lstrip("-").isdigit() for value in values)


def _shown(value: str | None) -> str:
    return "absent" if value is None else repr(value[:40])
