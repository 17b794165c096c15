"""From samples of probes to outages, the windows in which versions were mixed, and findings.

Outages are found as OpenShift does it (openshift/origin, pkg/disruption/backend/disruption/interval.go): in the order
in which they were sent, samples with the same failure make one interval, another failure begins a new one. A sample
that the rig spoiled is no evidence: it neither ends an outage nor proves that there was none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from rehearse.disruptions import (
    Disruption,
    Gap,
    MixedWindow,
    Outage,
    Probe,
    ProbeLog,
    Sample,
    SampleOutcome,
    Tolerance,
    VersionSeen,
)
from rehearse.judge.stats import tidy
from rehearse.judge.wording import duration, share
from rehearse.model import Finding, Outcome

SUBJECT = "disruption: "  # before the probe's name: a waiver names a finding that way
OUTAGE, UNSEEN, NONE = "outage", "disruption_unseen", "no_outage"
GAP_INTERVALS = 3.0  # an outage as long as this could hide where nothing was seen
ABSENT_S = 1.0  # not seen for so long, while others were: it has gone


# --- from samples to what each probe went through


def disruptions(log: ProbeLog) -> tuple[Disruption, ...]:
    """What each probe of the log went through, in the order of the probes."""
    return tuple(_disruption(log, probe) for probe in log.probes)


def between(log: ProbeLog, from_s: float, to_s: float) -> ProbeLog:
    """The same log, of what was due in a part of its time: one phase of a cutover."""
    began_s, ended_s = max(from_s, log.began_s), min(to_s, log.ended_s)
    samples = tuple(one for one in log.samples if began_s <= one.due_s < ended_s)
    return replace(log, began_s=began_s, ended_s=ended_s, samples=samples)


def _disruption(log: ProbeLog, probe: Probe) -> Disruption:
    own = [one for one in log.samples if one.probe == probe.name]
    sound = sorted((one for one in own if _is_sound(one)), key=lambda one: one.sent_s)
    evidence = [one for one in sound if not one.is_rig]
    served = [one for one in evidence if one.outcome is SampleOutcome.OK]
    return Disruption(
        probe=probe,
        began_s=log.began_s,
        ended_s=log.ended_s,
        samples=len(evidence),
        served=len(served),
        outages=tuple(_outages(evidence, log.ended_s)),
        gaps=tuple(_gaps(log, probe, sound, evidence)),
        versions=versions_seen(evidence),
        rig_samples=len(own) - len(evidence),
        slowest_s=max((one.took_s for one in served), default=None),
    )


def _is_sound(sample: Sample) -> bool:
    return all(math.isfinite(one) for one in (sample.due_s, sample.late_s, sample.took_s))


def _outages(evidence: Sequence[Sample], log_ended_s: float) -> Iterator[Outage]:
    """Samples in the order of sending. An outage is over when a probe that was sent after it has its answer: one that
    waits on a lock is served at the moment when the lock is gone."""
    runs = [list(samples) for _, samples in groupby(evidence, key=lambda one: (one.outcome, one.kind))]
    for position, samples in enumerate(runs):
        if samples[0].outcome is SampleOutcome.OK:
            continue
        before = runs[position - 1] if position else []
        after = runs[position + 1] if position + 1 < len(runs) else []
        is_after_served = bool(before) and before[-1].outcome is SampleOutcome.OK
        yield Outage(
            probe=samples[0].probe,
            kind=samples[0].kind,
            from_s=samples[0].sent_s,
            to_s=_first_sign(after, max(log_ended_s, samples[-1].sent_s)),
            samples=len(samples),
            served_s=before[-1].sent_s if is_after_served else None,
            failed_s=samples[-1].sent_s,
            is_over=bool(after),
        )


def _first_sign(after: Sequence[Sample], otherwise_s: float) -> float:
    """The moment when what comes after an outage shows: the first answer, or the next kind of failure."""
    if not after:
        return otherwise_s
    if after[0].outcome is SampleOutcome.OK:
        return min(one.ended_s for one in after)
    return after[0].sent_s


def _gaps(log: ProbeLog, probe: Probe, own: Sequence[Sample], evidence: Sequence[Sample]) -> Iterator[Gap]:
    """Where two pieces of evidence, or the log's ends, are too far apart to say what was between."""
    moments = [log.began_s, *(one.sent_s for one in evidence), log.ended_s]
    for from_s, to_s in pairwise(moments):
        if to_s - from_s > GAP_INTERVALS * log.interval_s:
            spoiled = [one.kind for one in own if one.is_rig and from_s <= one.sent_s <= to_s]
            kind = max(set(spoiled), key=lambda one: (spoiled.count(one), one)) if spoiled else "no samples"
            yield Gap(probe.name, from_s, to_s, kind)


# --- versions


def versions_seen(evidence: Sequence[Sample]) -> tuple[VersionSeen, ...]:
    """The stretches in which each version answered one probe; samples in the order of sending."""
    named = [one for one in evidence if one.version]
    found = [
        seen
        for version in dict.fromkeys(one.version for one in named)
        for seen in _stretches_of(version, named)
    ]
    return tuple(sorted(found, key=lambda one: (one.first_s, one.version)))


def _stretches_of(version: str, named: Sequence[Sample]) -> Iterator[VersionSeen]:
    stretch: VersionSeen | None = None
    others: list[float] = []  # when others were seen since
    for sample in named:
        at_s = sample.sent_s
        if sample.version != version:
            others.append(at_s)
        elif stretch is None or (others and others[-1] - others[0] > ABSENT_S):
            if stretch is not None:
                yield stretch
            stretch, others = VersionSeen(sample.probe, version, at_s, at_s, 1), []
        else:
            stretch, others = replace(stretch, last_s=at_s, samples=stretch.samples + 1), []
    if stretch is not None:
        yield stretch


def mixed_windows(found: Iterable[Disruption]) -> tuple[MixedWindow, ...]:
    """The times in which more than one version answered, whichever probe."""
    seen = sorted((one for each in found for one in each.versions), key=lambda one: one.first_s)
    moments = sorted({moment for one in seen for moment in (one.first_s, one.last_s)})
    windows: list[MixedWindow] = []
    for from_s, to_s in pairwise(moments):
        present = tuple(
            dict.fromkeys(one.version for one in seen if one.first_s <= from_s and one.last_s >= to_s)
        )
        if len(present) < 2:
            continue
        if windows and windows[-1].to_s == from_s and windows[-1].versions == present:
            windows[-1] = MixedWindow(present, windows[-1].from_s, to_s)
        else:
            windows.append(MixedWindow(present, from_s, to_s))
    return tuple(windows)


# --- findings


def disruption_findings(log: ProbeLog, tolerance: Tolerance) -> tuple[Finding, ...]:
    """One finding for each probe: too much outage fails, and what nobody has seen is inconclusive."""
    if not log.probes:
        return (_unseen("probes", "no probe was sent: nobody knows whether there was an outage"),)
    return tuple(_finding(one, log, tolerance) for one in disruptions(log))


def _finding(found: Disruption, log: ProbeLog, tolerance: Tolerance) -> Finding:
    name = found.probe.name
    numbers = _numbers(found)
    broken = _broken(found, tolerance)
    if broken:
        sentence = f"{name}: {told(found)}; {broken}"
        return Finding(Outcome.FAIL, OUTAGE, f"{SUBJECT}{name}", sentence, is_hard=True, numbers=numbers)
    if doubt := _doubt(found, log, tolerance):
        return _unseen(name, f"{name}: {told(found)}; {doubt}", numbers)
    return Finding(Outcome.PASS, NONE, f"{SUBJECT}{name}", f"{name}: {told(found)}", numbers=numbers)


def _unseen(name: str, sentence: str, numbers: dict[str, float | int | str | None] | None = None) -> Finding:
    return Finding(Outcome.INCONCLUSIVE, UNSEEN, f"{SUBJECT}{name}", sentence, numbers=numbers or {})


def _limits(found: Disruption, tolerance: Tolerance) -> list[tuple[str, float, float]]:
    """What is judged: which outage, how long it is, and how long it may be."""
    limits = (
        ("longest", found.longest_s, tolerance.longest_outage_s),
        ("total", found.total_s, tolerance.total_outage_s),
    )
    return [(which, length_s, limit) for which, length_s, limit in limits if limit is not None]


def _broken(found: Disruption, tolerance: Tolerance) -> str:
    return " and ".join(
        f"the {which} outage may last {duration(limit) if limit else '0 s'}"
        for which, length_s, limit in _limits(found, tolerance)
        if length_s > limit
    )


def _doubt(found: Disruption, log: ProbeLog, tolerance: Tolerance) -> str:
    """Why it is not proven that there was no more than was seen; empty when it is."""
    if log.trouble or not log.is_whole:
        return f"the rest is not known: {log.trouble or 'the prober did not come to its end'}"
    if not found.served:
        return "it was never served, so nothing shows that the probe itself is right"
    if found.outages and not found.outages[-1].is_over:
        return "the last outage was not over when the probes ended"
    blind_s = sum(one.length_s for one in found.gaps)
    if all(length_s + blind_s <= limit for _, length_s, limit in _limits(found, tolerance)):
        return ""
    return _blindness(found.gaps) if found.gaps else ""


def _blindness(gaps: Sequence[Gap]) -> str:
    longest = max(gaps, key=lambda one: one.length_s)
    times = f"{len(gaps)} times, {duration(sum(one.length_s for one in gaps))} in all"
    often = times if len(gaps) > 1 else "once"
    return f"for {duration(longest.length_s)} nothing was seen of it ({longest.kind}; {often})"


def told(found: Disruption) -> str:
    """ "2 outages, 3.10 s in all, the longest 2.10 s (refused, no answer; 2.3 % of 90 s)"."""
    if not found.outages:
        return f"no outage in {found.samples} samples"
    kinds = ", ".join(dict.fromkeys(one.kind for one in found.outages))
    count = len(found.stretches)
    lengths = f"{duration(found.longest_s)}"
    if count > 1:
        lengths = f"{duration(found.total_s)} in all, the longest {duration(found.longest_s)}"
    part = "" if found.out_ratio is None else f"; {share(min(1.0, found.out_ratio))} of the time"
    return f"{count} outage{'s' if count > 1 else ''}, {lengths} ({kinds}{part})"


def _numbers(found: Disruption) -> dict[str, float | int | str | None]:
    values: dict[str, float | int | None] = {
        "outages": len(found.stretches),
        "longest_outage_s": found.longest_s,
        "total_outage_s": found.total_s,
        "out_ratio": found.out_ratio,
        "samples": found.samples,
        "rig_samples": found.rig_samples,
        "blind_s": sum(one.length_s for one in found.gaps),
        "slowest_s": found.slowest_s,
    }
    return {name: tidy(value) if isinstance(value, float) else value for name, value in values.items()}
