"""The marker of a check: which break it is about, read strictly, so that no check goes by without a name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from rehearse.errors import nearest
from rehearse.model import Severity

MARKER = "breakage"
SIGNATURE = "breakage(id, broke_on, component, severity, ref, expires, story)"
EXAMPLE = '@pytest.mark.breakage(id="INC-231", broke_on="2026-03-02", component="orders", severity="abort")'
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/#:+-]{0,79}")
_TEXTS = ("component", "ref", "story")
_KNOWN = ("id", "broke_on", "severity", "expires", *_TEXTS)


@dataclass(frozen=True, slots=True)
class Breakage:
    """What a check's marker says. Dates are ISO 8601, empty where none is given."""

    check_id: str
    severity: Severity = Severity.ABORT
    component: str = ""
    broke_on: str = ""
    ref: str = ""
    expires: str = ""
    story: str = ""  # empty: the docstring tells it


def read_breakage(args: Sequence[object], given: Mapping[str, object], today: date) -> Breakage:
    """What `@pytest.mark.breakage(...)` says; ValueError, the end of a sentence about it, when that is unclear."""
    if args:
        raise ValueError(f"has an argument without a name; write it like {EXAMPLE}")
    for name in given:
        if name not in _KNOWN:
            raise ValueError(f"has an unknown argument {name!r}. {nearest(name, _KNOWN)}")
    for name in _TEXTS:
        if not isinstance(given.get(name, ""), str):
            raise ValueError(f"has a {name} that is no text: {given[name]!r}")
    broke_on = _date("broke_on", given)
    if broke_on > today.isoformat():
        raise ValueError(f"has a broke_on in the future: {broke_on}")
    return Breakage(
        _id(given),
        _severity(given.get("severity", Severity.ABORT.value)),
        broke_on=broke_on,
        expires=_date("expires", given),
        **{name: str(given.get(name, "")).strip() for name in _TEXTS},
    )


def _id(given: Mapping[str, object]) -> str:
    if "id" not in given:
        raise ValueError(f"has no id; write it like {EXAMPLE}")
    found = given["id"]
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise ValueError(f"has the id {found!r}, which is no word of letters, digits and . _ / # : + -")
    return found


def _severity(found: object) -> Severity:
    words = [word.value for word in Severity]
    if found not in words:
        raise ValueError(f"has the severity {found!r}. {nearest(str(found), words)}")
    return Severity(str(found))


def _date(name: str, given: Mapping[str, object]) -> str:
    """As text: what a marker's author writes, and what is stored."""
    found = given.get(name, "")
    if found == "":
        return ""
    try:
        if isinstance(found, str) and len(found) == len("2026-03-02"):
            return date.fromisoformat(found).isoformat()
    except ValueError:
        pass
    raise ValueError(f"has the {name} {found!r}, which is no date; write it like '2026-03-02'")
