"""The tables of docs/configuration.md, out of the models.

python -m rehearse.config.reference docs/configuration.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from rehearse.config.keys import ANY_ITEM, TABLE, TABLES, Key, all_keys, written
from rehearse.config.objectives import write_objective
from rehearse.config.quantities import write_duration, write_percent
from rehearse.model import Objective

BEGIN, END = "<!-- keys: begin, generated -->", "<!-- keys: end -->"
HEAD = "| key | type | default | meaning |\n| --- | --- | --- | --- |"


def tables() -> str:
    """One table for each table of the file, in its order."""
    keys = [key for key in all_keys() if key.kind not in (TABLE, TABLES)]
    groups = groupby(keys, key=lambda key: (key.table, key.section))
    return "\n\n".join(
        f"{_heading(table)}\n\n{section.__doc__}\n\n{HEAD}\n{_rows(found)}"
        for (table, section), found in groups
    )


def _heading(path: tuple[str, ...]) -> str:
    if not path:
        return "### At the top"
    named = [part.replace("*", "NAME") for part in path if part != ANY_ITEM]
    return f"### `[[{written(named)}]]`" if ANY_ITEM in path else f"### `[{written(named)}]`"


def _rows(keys: Iterator[Key]) -> str:
    return "\n".join(
        f"| `{_name(key)}` | {key.kind.name} | {_default(key)} | {key.field.description} |" for key in keys
    )


def _name(key: Key) -> str:
    return written(key.path[len(key.table) :]).replace("*", "NAME")


def _default(key: Key) -> str:
    value = key.field.default
    if value is PydanticUndefined:
        return "required"
    return "none" if value is None or value == {} else f"`{_toml(_as_in_file(key, value))}`"


def _as_in_file(key: Key, value: object) -> object:
    if isinstance(value, Objective):
        return write_objective(value)
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, float) and key.kind.name == "duration":
        return write_duration(value)
    if isinstance(value, float) and key.kind.name == "percentage":
        return write_percent(value)
    return str(value) if isinstance(value, Path) else value


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {_toml(item)}' for name, item in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


def rewrite(path: Path) -> None:
    """Put the tables between the marks of the page."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    rewrite(Path(sys.argv[1]))
