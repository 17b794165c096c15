"""Two response contracts compared: what clients of the known-good side rely on, and the candidate no longer gives.

What the candidate shows and no known-good recording ever showed is a change when chance cannot explain it: Fisher's
exact test (1934) on counts of answers, all places of all endpoints together (Holm 1979). Narrowing and changes of type
gate, additions are notes. What is seen too rarely to be proven is told, with that reason, and does not gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rehearse.judge.contract_rules import Suspect, place_suspects
from rehearse.judge.faults import Fault, fault
from rehearse.judge.known_good import Known, known_good, parent_of, tests_of
from rehearse.judge.siblings import folded
from rehearse.judge.stats import holm, tidy
from rehearse.model import (
    Contract,
    ContractChange,
    ContractRules,
    Evidence,
    Finding,
    Mode,
    Outcome,
    ReasonCode,
    Side,
    ValueDifference,
    Weight,
)

NOTHING = "nothing"  # the example of a value that is not there
WHOLE = "-"  # the place of what is said of an answer as a whole
_ORDER = tuple(Weight)
_CUT_RATIO = 0.5


def contract_changes(evidence: Evidence) -> tuple[ContractChange, ...]:
    """Every change of the contract, gating ones first; none when answers were not looked into."""
    rules = evidence.policy.contract
    return () if rules is None else _changes(evidence, rules)


def contracts_compared(evidence: Evidence) -> int:
    """Of how many endpoints and statuses both sides' answers were seen."""
    rules = evidence.policy.contract
    if rules is None:
        return 0
    return len(
        _grouped(_known_contracts(evidence), rules).keys() & _grouped(_candidates(evidence), rules).keys()
    )


def _changes(evidence: Evidence, rules: ContractRules) -> tuple[ContractChange, ...]:
    candidate = _by_answer(evidence.contracts, Side.CANDIDATE, rules)
    known = {
        answer: known_good(contracts)
        for answer, contracts in _grouped(_known_contracts(evidence), rules).items()
    }
    suspects = [
        suspect
        for answer in sorted(known.keys() & candidate.keys())
        for suspect in place_suspects(known[answer], candidate[answer])
        if not _is_ignored(suspect.change.place, rules)
    ]
    tests = sum(tests_of(known[answer], candidate[answer]) for answer in known.keys() & candidate.keys())
    proven = _weighed(suspects, tests, rules.alpha)
    told = {(one.endpoint, one.place) for one in proven if one.weight is not Weight.NOTE}

    def keys_of(endpoint: str, status: int, parent: str) -> list[str]:
        places = known[endpoint, status].places if (endpoint, status) in known else ()
        return [place for place in places if parent_of(place) == parent]

    values = [one for one in _values(evidence, rules) if (one.endpoint, one.place) not in told]
    changes = [
        *folded([*proven, *values], keys_of),
        *_statuses(known, candidate),
        *_not_read(known, candidate),
    ]
    return tuple(
        sorted(changes, key=lambda one: (_ORDER.index(one.weight), one.endpoint, one.status, one.place))
    )


def finding_of(change: ContractChange) -> Finding:
    """A change as a reason, or as a warning."""
    return Finding(
        outcome=Outcome.FAIL,
        code=ReasonCode.CONTRACT,
        subject=change.subject,
        sentence=change.sentence,
        is_hard=change.weight is Weight.GATE and change.waiver is None,
        numbers={
            "before": change.before,
            "after": change.after,
            "baseline_count": change.baseline_count,
            "baseline_of": change.baseline_of,
            "candidate_count": change.candidate_count,
            "candidate_of": change.candidate_of,
            "p_value": change.p_value,
        },
    )


def unseen_faults(evidence: Evidence, certified: Iterable[str]) -> list[Fault]:
    """Certified endpoints whose good answers were read as JSON on one side, and not once on the other."""
    if evidence.policy.contract is None:
        return []
    rules = evidence.policy.contract
    sides = {"known-good side": _known_contracts(evidence), "candidate": _candidates(evidence)}
    good = {side: [one for one in contracts if 200 <= one.status < 300] for side, contracts in sides.items()}
    json = {side: {one.endpoint for one in contracts if one.documents} for side, contracts in good.items()}
    read = {
        side: {one.endpoint for one in contracts if one.documents + one.unreadable}
        for side, contracts in good.items()
    }
    wanted = set(certified) - set(rules.ignored_endpoints)
    return [
        _unseen(endpoint, here, there)
        for here, there in (("known-good side", "candidate"), ("candidate", "known-good side"))
        for endpoint in sorted((json[here] - read[there]) & wanted)
    ]


def sampling_warnings(evidence: Evidence) -> list[Finding]:
    """Samples that were lost or could not be read: the contract was learnt from fewer answers than it seems."""
    if evidence.policy.contract is not None and evidence.is_complete and not contracts_compared(evidence):
        sentence = "no answer was seen on both sides: the response contract was not compared"
        return [Finding(Outcome.INCONCLUSIVE, "no_contract", "contract", sentence)]
    return [
        Finding(
            Outcome.INCONCLUSIVE,
            "lost_samples",
            one.side,
            f"of the {one.side}'s samples {one.taken:,} arrived, {one.lost:,} were lost, {one.left_out:,} were left "
            f"out for want of room and {one.failed:,} could not be read",
        )
        for one in evidence.samplings
        if one.lost or one.left_out or one.failed
    ]


# --- who is compared with whom ------------------------------------------------------------------------------------


def _known_contracts(evidence: Evidence) -> tuple[Contract, ...]:
    """All that is known of good behaviour: the baseline of now, and both sides of a stored A/A recording."""
    live = tuple(one for one in evidence.contracts if one.side is Side.BASELINE)
    stored = evidence.reference.contracts if evidence.reference is not None else ()
    return (*live, *stored) if evidence.mode is Mode.PAIRED else stored


def _candidates(evidence: Evidence) -> tuple[Contract, ...]:
    return tuple(one for one in evidence.contracts if one.side is Side.CANDIDATE)


Answer = tuple[str, int]  # endpoint, status


def _grouped(contracts: Iterable[Contract], rules: ContractRules) -> dict[Answer, list[Contract]]:
    found: dict[Answer, list[Contract]] = {}
    for one in contracts:
        if one.endpoint not in rules.ignored_endpoints:
            found.setdefault((one.endpoint, one.status), []).append(one)
    return found


def _by_answer(contracts: Iterable[Contract], side: Side, rules: ContractRules) -> dict[Answer, Contract]:
    own = (one for one in contracts if one.side is side)
    return {answer: found[0] for answer, found in _grouped(own, rules).items()}


def _is_ignored(place: str, rules: ContractRules) -> bool:
    return any(place == one or place.startswith((f"{one}.", f"{one}[")) for one in rules.ignored_places)


# --- from suspicion to weight -------------------------------------------------------------------------------------


def _weighed(suspects: Sequence[Suspect], tests: int, alpha: float) -> list[ContractChange]:
    """All are tested together with all that could have been found, and was not."""
    tested = [one for one in suspects if one.p_value is not None]
    others = max(0, tests - len(tested))
    fallen = holm([*(one.p_value or 0.0 for one in tested), *([1.0] * others)], alpha)
    proven = {id(one) for one, falls in zip(tested, fallen, strict=False) if falls}
    return [_change_of(one, id(one) in proven) for one in suspects]


def _change_of(suspect: Suspect, is_proven: bool) -> ContractChange:
    change = replace(suspect.change, p_value=tidy(suspect.p_value))
    if suspect.p_value is None or is_proven:
        return change
    once_in = 1 / max(suspect.p_value, 1e-12)
    doubt = f"not proven: chance alone shows this once in {once_in:,.0f} comparisons of this place"
    return replace(change, weight=suspect.unproven, sentence=f"{change.sentence}; {doubt}")


# --- answers as a whole -------------------------------------------------------------------------------------------


def _statuses(known: dict[Answer, Known], candidate: dict[Answer, Contract]) -> list[ContractChange]:
    """A status that one side alone gave. Failures are judged as errors; here they are only told."""
    found = []
    for endpoint, status in sorted(candidate.keys() - known.keys()):
        if any(one == endpoint for one, _ in known):
            sentence = f"{endpoint} answers {status}, which the known-good side never did"
            found.append(_whole(endpoint, status, "status", Weight.NOTE, sentence, after=str(status)))
    for endpoint, status in sorted(known.keys() - candidate.keys()):
        others = [one for name, one in candidate if name == endpoint and 200 <= one < 300]
        if 200 <= status < 300 and others:
            sentence = f"{endpoint} answers {others[0]} where the known-good side answered {status}"
            found.append(
                _whole(endpoint, status, "status", Weight.WARN, sentence, str(status), str(others[0]))
            )
        elif 200 <= status < 300:
            sentence = (
                f"{endpoint} had no good answer of the candidate: what it says with {status} is not known"
            )
            found.append(_whole(endpoint, status, "unseen", Weight.NOTE, sentence))
    for endpoint in sorted({name for name, _ in candidate} - {name for name, _ in known}):
        status = min(one for name, one in candidate if name == endpoint)
        sentence = f"{endpoint} was seen on the candidate only: there is no contract to compare with"
        found.append(_whole(endpoint, status, "unseen", Weight.NOTE, sentence))
    return found


def _not_read(known: dict[Answer, Known], candidate: dict[Answer, Contract]) -> list[ContractChange]:
    """Answers that were too long to be read whole: their contract is hardly known."""
    found = []
    for endpoint, status in sorted(known.keys() & candidate.keys()):
        for side, cut, read in (
            ("known-good side", known[endpoint, status].cut, known[endpoint, status].documents),
            ("candidate", candidate[endpoint, status].cut, candidate[endpoint, status].documents),
        ):
            if cut > _CUT_RATIO * (cut + read):
                sentence = (
                    f"{endpoint} {status}: {cut} of {cut + read} answers of the {side} were too long to be read; "
                    "raise contract.max_body_kb"
                )
                found.append(_whole(endpoint, status, "too long", Weight.WARN, sentence))
                break
    return found


def _whole(
    endpoint: str, status: int, what: str, weight: Weight, sentence: str, before: str = "", after: str = ""
) -> ContractChange:
    return ContractChange(endpoint, status, WHOLE, what, weight, sentence, before, after)


def _unseen(endpoint: str, here: str, there: str) -> Fault:
    sentence = (
        f"{endpoint}: the {here} answered it well with JSON, and no such answer of the {there} was read; "
        "its contract was not compared (a longer body than contract.max_body_kb is not read)"
    )
    return fault(ReasonCode.UNSEEN_CONTRACT, endpoint, sentence, allows_abort=True)


# --- values -------------------------------------------------------------------------------------------------------


def _values(evidence: Evidence, rules: ContractRules) -> list[ContractChange]:
    """Equal requests with unequal values. Two sides that were the same differ too: that is noise, where it is known."""
    if rules.values == "off":
        return []
    noise = evidence.reference.differences if evidence.reference is not None else ()
    known = {(one.endpoint, one.place) for one in noise}
    is_calibrated = evidence.reference is not None and evidence.reference.is_calibrated
    weight = Weight(rules.values) if is_calibrated else Weight.NOTE
    return [
        _value(one, weight, is_calibrated)
        for one in evidence.differences
        if (one.endpoint, one.place) not in known
        and one.baseline != NOTHING  # an addition: a note of the contract
        and one.endpoint not in rules.ignored_endpoints
        and not _is_ignored(one.place, rules)
    ]


def _value(one: ValueDifference, weight: Weight, is_calibrated: bool) -> ContractChange:
    became = f"{one.baseline} became {one.candidate}"
    sentence = f"{one.endpoint} {one.place}: {became} in {one.requests} of {one.of} equal requests"
    if not is_calibrated:
        sentence += "; without a recorded A/A baseline nothing says whether equal sides would differ here too"
    return ContractChange(
        one.endpoint,
        one.status,
        one.place,
        "value",
        weight,
        sentence,
        one.baseline,
        one.candidate,
        0,
        one.of,
        one.requests,
        one.of,
    )
