"""The tables of docs/declared-checks.md, out of the models.

python -m rehearse.checks.reference docs/declared-checks.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from rehearse.checks.declaration import KINDS, DeclaredCheck
from rehearse.checks.tolerance import TextExpectations, Tolerance
from rehearse.config.keys import kind_of
from rehearse.config.quantities import write_duration
from rehearse.config.section import Section

BEGIN, END = "<!-- keys: begin, generated -->", "<!-- keys: end -->"
HEAD = "| key | type | default | meaning |\n| --- | --- | --- | --- |"


def tables() -> str:
    """A table for checks, one for each kind of probe and its expectations, and those that several have."""
    texts = [_table("`[[check]]`", DeclaredCheck)]
    for kind in KINDS:
        probe = _section_of(DeclaredCheck.model_fields[kind])
        texts.append(_table(f"`[check.{kind}]`", probe))
        texts.append(_table(f"`[check.{kind}.expect]`", _section_of(probe.model_fields["expect"])))
    return "\n\n".join([*texts, _table("A value", Tolerance), _table("A text", TextExpectations)])


def _section_of(field: FieldInfo) -> type[Section]:
    """The table that a field holds, whether or not it may be left out."""
    candidates = (field.annotation, *getattr(field.annotation, "__args__", ()))
    return next(found for found in candidates if isinstance(found, type) and issubclass(found, Section))


def _table(heading: str, section: type[Section]) -> str:
    rows = "\n".join(_rows(section))
    return f"### {heading}\n\n{' '.join((section.__doc__ or '').split())}\n\n{HEAD}\n{rows}"


def _rows(section: type[Section]) -> Iterator[str]:
    for field in section.model_fields.values():
        if field.alias not in KINDS:  # they have a table each
            yield f"| `{field.alias}` | {_kind(field)} | {_default(field)} | {field.description} |"


def _kind(field: FieldInfo) -> str:
    shown = str(field.annotation)
    if "Mapping" in shown:
        return "table of values" if Tolerance.__name__ in shown else "table"
    if Tolerance.__name__ in shown:
        return "value"
    if TextExpectations.__name__ in shown:
        return "text table"
    return "table" if "Expectations" in shown else kind_of(field).name


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value in (None, "", (), {}):
        return "none"
    if isinstance(value, float):
        return f"`{write_duration(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def rewrite(path: Path) -> None:
    """Put the tables between the marks of the page."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    rewrite(Path(sys.argv[1]))
