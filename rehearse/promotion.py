"""From the rehearsal to the promotion: what is wrong with the exit plan, who decided what, and whether a gate opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from rehearse import rehearsal
from rehearse.checking import listing
from rehearse.checks.exhibits import check_evidence
from rehearse.checks.runner import CheckRunner
from rehearse.codec import digest_of
from rehearse.config import Settings, policy_hash
from rehearse.config.exit_plan import faults_of
from rehearse.cutover_results import only_takes_back
from rehearse.errors import ConfigError, StoreError, nearest
from rehearse.exit_plan import Fault, Level
from rehearse.judge.checks import judge_checks
from rehearse.judge.gate import Found, GateRuling, GateTerms, Rehearsed, are_two, rule_on
from rehearse.model import STAGE_KEY, Decision, RunKind, RunRecord, Side, SignOff
from rehearse.redaction import Clean
from rehearse.sides import cleaner
from rehearse.store.records import Store
from rehearse.wiring.references import recorded_checks

LONGEST_WORD = 300
MOST_RUNS = 1000  # that a gate looks through, the newest
# How pipelines say who and what they are. None of them is a secret, and none is proof.
CI_VARIABLES = (
    "GITHUB_REPOSITORY",
    "GITHUB_RUN_ID",
    "GITHUB_ACTOR",
    "GITHUB_SHA",
    "CI_JOB_URL",
    "GITLAB_USER_LOGIN",
    "CI_COMMIT_SHA",
    "BUILD_URL",
    "BUILD_USER_ID",
    "GIT_COMMIT",
    "BUILDKITE_BUILD_URL",
    "BUILDKITE_BUILD_CREATOR",
    "CIRCLE_BUILD_URL",
    "CIRCLE_USERNAME",
)


# --- the exit plan ------------------------------------------------------------------------------------------------


def plan_faults(settings: Settings, checks: CheckRunner, today: date) -> tuple[Fault, ...]:
    """What is wrong with the exit plan; the project's checks are collected, and not asked."""
    planned, troubles = (
        listing(settings, checks, cleaner(settings), today.isoformat())
        if settings.checks.are_due
        else ((), ())
    )
    uncollected = tuple(Fault(Level.WARNING, "checks", trouble) for trouble in troubles)
    return (*faults_of(settings, {check.check_id for check in planned}, today), *uncollected)


# --- the decision -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signing:
    """What somebody wants to sign."""

    decision: Decision
    person: str
    reason: str
    second: str = ""
    is_override: bool = False


def decide(
    store: Store, run_id: str, signing: Signing, now: datetime, env: Mapping[str, str], clean: Clean
) -> SignOff:
    """Append a sign-off to a run. Raises ConfigError for one that a gate would not count, StoreError for a run that is
    not what was recorded."""
    record = store.run(run_id)
    if record.kind not in rehearsal.JUDGED or record.verdict is None:
        raise ConfigError(f"run {run_id!r} has no verdict to sign. `rehearse compare` makes one.")
    _refuse_to_sign(record, record.verdict.decision, signing)
    sign_off = SignOff(
        decision=signing.decision,
        person=_word(signing.person, clean),
        reason=_word(signing.reason, clean),
        at=now.astimezone(UTC).isoformat(timespec="seconds"),
        verdict=record.verdict.decision,
        verdict_digest=digest_of(record.verdict),
        second=_word(signing.second, clean),
        ci={name: _word(env[name], clean) for name in CI_VARIABLES if env.get(name)},
    )
    store.add_sign_off(run_id, sign_off)
    return sign_off


def _refuse_to_sign(record: RunRecord, verdict: Decision, signing: Signing) -> None:
    if not signing.person.strip() or not signing.reason.strip():
        raise ConfigError("--by and --reason: say who decides, and why; both stay in the report.")
    against = signing.decision is Decision.GO and verdict is not Decision.GO
    if not against and (signing.is_override or signing.second):
        raise ConfigError(
            f"--override: {signing.decision} on a verdict of {verdict} overrides nothing. Leave --override and "
            "--second out."
        )
    if signing.decision is Decision.GO and record.is_advisory:
        raise ConfigError(
            f"run {record.run_id!r} was advisory: nothing rests on it. Rehearse without --advisory."
        )
    if against and not signing.is_override:
        raise ConfigError(
            f"the verdict is {verdict}: to go all the same, add --override and --second NAME, somebody else who agrees."
        )
    if against and not are_two(signing.person, signing.second):
        raise ConfigError(
            f"--second {signing.second!r}: an override needs a second person, and not --by again."
        )


def _word(text: str, clean: Clean) -> str:
    return clean(" ".join(text.split()))[:LONGEST_WORD]


# --- the gate -----------------------------------------------------------------------------------------------------


def gate(settings: Settings, store: Store, facts: Mapping[str, str], stage: str, now: datetime) -> GateRuling:
    """Whether exactly this candidate may be promoted now. Raises ConfigError when it is not named as agreed."""
    terms = GateTerms(
        candidate=_candidate(settings, facts),
        policy=policy_hash(settings),
        requires=tuple(RunKind(kind) for kind in settings.gate.requires),
        max_age_s=settings.gate.max_age_s,
        needs_sign_off=settings.gate.sign_off,
        stage=_stage(settings, stage),
        freeze=settings.exit_plan.plan.freeze,
    )
    runs = [_rehearsed(record) for record in store.runs(MOST_RUNS) if not _met_nobody(store, record)]
    return rule_on(terms, runs, lambda run: _found(settings, store, run), now)


def _met_nobody(store: Store, record: RunRecord) -> bool:
    """Whether it was a way back alone."""
    return not _facts(record) and only_takes_back(store, record)


def _facts(record: RunRecord) -> Mapping[str, str]:
    return next((one.facts for one in record.targets if one.side is Side.CANDIDATE), {})


def _candidate(settings: Settings, facts: Mapping[str, str]) -> Mapping[str, str]:
    identity = settings.gate.identity or tuple(facts)
    missing = [key for key in identity if not facts.get(key)]
    if missing or not identity:
        raise ConfigError(
            f"--candidate: {', '.join(missing) or 'no fact'} is missing: name the candidate as its target does,"
            " such as version=2.0; `rehearse runs show RUN` has the facts of a run."
        )
    return {key: facts[key] for key in identity}


def _stage(settings: Settings, given: str) -> str:
    promotion = settings.promotion
    stage = given or promotion.stage
    if stage and stage not in promotion.stages:
        raise ConfigError(
            f"--stage {stage!r} is not one of promotion.stages. {nearest(stage, promotion.stages)}"
        )
    if promotion.stages and not stage:
        raise ConfigError(
            f"--stage: say in which stage the candidate must have passed: {', '.join(promotion.stages)}."
        )
    return stage


def _rehearsed(record: RunRecord) -> Rehearsed:
    return Rehearsed(
        run_id=record.run_id,
        kind=record.kind,
        state=record.state,
        started_at=record.started_at,
        facts=_facts(record),
        policy=record.provenance.get("policy", ""),
        stage=record.provenance.get(STAGE_KEY, ""),
        is_advisory=record.is_advisory,
    )


def _found(settings: Settings, store: Store, run: Rehearsed) -> Found:
    """The verdict out of the evidence again, and never as it is stored: only the evidence is sealed."""
    try:
        store.verify(run.run_id)
        record, sign_offs = store.run(run.run_id), store.sign_offs(run.run_id)
        if run.kind is RunKind.CHECKS:
            found = check_evidence(store.exhibits(run.run_id))
            verdict = judge_checks(found, recorded_checks(settings, store, found))
            return Found(verdict.decision, digest_of(verdict), sign_offs)
        verdict = rehearsal.judged_anew(store, record)
    except StoreError as error:
        return Found(trouble=str(error))
    if record.verdict != verdict:
        return Found(
            trouble="its evidence gives another verdict than the stored one: that was changed, or judged by another"
            f" rehearse. `rehearse judge {run.run_id}` judges it again"
        )
    return Found(verdict.decision, digest_of(verdict), sign_offs)
