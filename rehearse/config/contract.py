"""What is asked of the answers' contract, and who accepts which change of it."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from rehearse.config.fields import Kind, Name, Switch, Whole, Words, between
from rehearse.config.section import Section
from rehearse.errors import nearest

WHATS = (
    "type null key format enum empty order header json status value".split()
)  # what a change is called at the end of its id; notes need no waiver
_EXAMPLE = "contract: GET /orders/[id] 200 $.total type"
_CONTRACT_ID = re.compile(
    r"contract: [A-Z]+ \S.* \d{3} (?:\$\S*(?: \S+)*?|header \S+(?: \S+)?|-) (?P<what>[a-z]+)"
)
_CHECK_ID = re.compile(r"(?:check|edge): \S.*")


def _read_finding(given: str) -> str:
    """Only what a report can say of the contract or of a check; a misspelt waiver would waive nothing, silently."""
    if _CHECK_ID.fullmatch(given):
        return given
    found = _CONTRACT_ID.fullmatch(given)
    if found is None:
        raise ValueError(
            f"is not the id of a finding that can be waived; copy it from the report, such as {_EXAMPLE!r} or "
            "'check: INC-231'"
        )
    if found["what"] not in WHATS:
        raise ValueError(f"ends in {found['what']!r}. {nearest(found['what'], WHATS)}")
    return given


def _read_day(given: object) -> str:
    if type(given) is date:
        return given.isoformat()
    try:
        return date.fromisoformat(given).isoformat() if isinstance(given, str) else _no_day()
    except ValueError:
        return _no_day()


def _no_day() -> str:
    raise ValueError("is not a date; write it like 2026-12-31")


FindingId = Annotated[str, Kind("id of a finding", repr(_EXAMPLE)), AfterValidator(_read_finding)]
Day = Annotated[str, Kind("date", "2026-12-31", from_text="either"), BeforeValidator(_read_day)]


class ContractSettings(Section):
    """The response contract: what the answers under load have in common, on both sides (docs/contract.md)."""

    enabled: Switch = Field(default=True, description="Sample answers and compare their contract.")
    samples: Annotated[Whole, between(10, 5_000, "fewer prove nothing, more cost load")] = Field(
        default=100,
        description="Answers of each endpoint, status and side that are looked into, over the run.",
    )
    max_body_kb: Annotated[Whole, between(1, 1_024, "samples travel beside the load's own reports")] = Field(
        default=64, description="A longer body is not looked into."
    )
    ignore_endpoints: Words = Field(
        default=(), description="Endpoints whose answers are not compared, `GET /x`."
    )
    ignore_places: Words = Field(
        default=(), description="Places that are not compared, with all below them: `$.meta`."
    )
    ignore_headers: Words = Field(default=(), description="Headers that are not compared.")
    values: Literal["warn", "gate", "off"] = Field(
        default="warn",
        description="What another value in the answer to an equal GET request leads to; `off` sends none.",
    )


class WaiverSettings(Section):
    """A named person accepts one finding of the contract or of a check until a date."""

    finding: FindingId = Field(description="Its id, as the report has it.")
    person: Name = Field(description="Who accepts it.")
    reason: Name = Field(description="Why that is acceptable.")
    until: Day = Field(description="The last day on which it holds.")
