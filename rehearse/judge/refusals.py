"""Users that are no longer let in: 401 and 403 that come up in the middle of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rehearse.judge.faults import Fault, fault
from rehearse.judge.pairs import Column, SeriesKey, Slice
from rehearse.judge.stats import binomial_lower, binomial_upper
from rehearse.judge.wording import share
from rehearse.model import ReasonCode, Scope, Side

_REFUSED = ("HTTP 401", "HTTP 403")
_LEAST_RISE = 0.01
_SURE_ALPHA = 0.01


def refusal_faults(table: Mapping[SeriesKey, Column], sides: Sequence[Side]) -> list[Fault]:
    """A token expired, and from there on it was another load.

    When only the candidate begins to refuse, that may be its own doing: ABORT stays possible.
    """
    rises = {side: rise for side in sides if (rise := _rise(table, side)) is not None}
    is_candidates_own = set(rises) == {Side.CANDIDATE} and Side.BASELINE in sides
    return [
        fault(
            ReasonCode.LOAD_MISMATCH,
            side,
            f"{share(late)} of the requests to the {side} were refused (401 or 403) in the second half of the run, "
            f"and {share(early)} in the first: a token of the scenario expired, or the {side} changed whom it lets in; "
            "renew the token in the scenario",
            allows_abort=is_candidates_own,
            early=early,
            late=late,
        )
        for side, (early, late) in rises.items()
    ]


def _rise(table: Mapping[SeriesKey, Column], side: Side) -> tuple[float, float] | None:
    """The parts that were refused in the first and in the second half, when the second is surely higher."""
    columns = [column.of(side) for (scope, _), column in table.items() if scope is Scope.ENDPOINT]
    half = max((len(column) for column in columns), default=0) // 2
    refused, requests = _count([part for column in columns for part in column[:half]])
    refused_late, requests_late = _count([part for column in columns for part in column[half:]])
    if not requests or not requests_late:
        return None
    early, late = refused / requests, refused_late / requests_late
    lowest, highest = (
        binomial_lower(refused_late, requests_late, _SURE_ALPHA),
        binomial_upper(refused, requests, _SURE_ALPHA),
    )
    return (early, late) if late - early >= _LEAST_RISE and lowest > highest else None


def _count(parts: Sequence[Slice]) -> tuple[int, int]:
    refused = sum(error.count for part in parts for error in part.errors if error.kind in _REFUSED)
    return refused, sum(part.requests for part in parts)
