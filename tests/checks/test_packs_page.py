"""docs/packs.md tells of every check and option of the packs as they are."""

from __future__ import annotations

import re
from dataclasses import fields

from rehearse.checks.packs.http_checks.asking import Options
from tests.checks.packs_page import PAGE, current


def test_the_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == current(page), "write it anew: python -m tests.checks.packs_page"


def test_every_option_is_in_the_table_with_its_default() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| ([^|]*) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    defaults = {field.name: _shown(field.default) for field in fields(Options)}
    assert {name: shown.strip() for name, shown in rows} == defaults


def _shown(default: object) -> str:
    if isinstance(default, str):
        return f"`{default}`" if default else ""
    return "" if default == () else f"`{default:_}`" if isinstance(default, int) else f"`{default}`"
