"""What people decided on a verdict, in words. Recorded, not authenticated: the words say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rehearse.codec import digest_of
from rehearse.model import SignOff, StageStanding, Verdict
from rehearse.report.units import instant

_WHO = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID", "BUILDKITE_BUILD_CREATOR", "CIRCLE_USERNAME")


@dataclass(frozen=True, slots=True)
class Signed:
    """One sign-off as the report shows it."""

    sign_off: SignOff
    who: str
    when: str
    decision: str
    pipeline: str
    is_of_another_verdict: bool


def signed_of(sign_offs: Sequence[SignOff], verdict: Verdict | None) -> tuple[Signed, ...]:
    """All of them, in their order; the last one counts."""
    digest = "" if verdict is None else digest_of(verdict)
    return tuple(
        Signed(
            one,
            f"{one.person} and {one.second}" if one.second else one.person,
            instant(one.at),
            f"{one.decision}, overriding {one.verdict}" if one.is_override else str(one.decision),
            _pipeline(one.ci),
            one.verdict_digest != digest,
        )
        for one in sign_offs
    )


def sign_off_sentence(sign_off: SignOff, verdict: Verdict | None) -> str:
    """One line: what, who, when, why."""
    (one,) = signed_of((sign_off,), verdict)
    pipeline = f" (in a pipeline: {one.pipeline})" if one.pipeline else ""
    other = "; it was about another verdict than the one of now" if one.is_of_another_verdict else ""
    return f"{one.decision} by {one.who} at {one.when}{pipeline}: {sign_off.reason}{other}"


def stage_sentences(standings: Sequence[StageStanding]) -> tuple[str, ...]:
    """One for each stage: `staging: comparison GO (signed GO), cutover ABORT`, or that nothing is there."""
    return tuple(
        f"{stage}: {', '.join(map(_standing, members))}"
        for stage, members in groupby(standings, lambda one: one.stage)
    )


def _standing(one: StageStanding) -> str:
    if not one.run_id:
        return "not rehearsed"
    signed = f" (signed {one.signed})" if one.signed is not None else ""
    return f"{one.kind} {one.decision}{signed}"


def _pipeline(ci: Mapping[str, str]) -> str:
    """Who it ran for first."""
    ordered = sorted(ci, key=lambda name: (name not in _WHO, name))
    return ", ".join(ci[name] for name in ordered)
