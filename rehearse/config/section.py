"""What every table of the file has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


def toml_key(attribute: str) -> str:
    """A name that ends in `_s` holds seconds. In TOML it has no such end: the value carries its unit."""
    return attribute.removesuffix("_s")


class Section(BaseModel):
    """A table of the file. Unknown keys and other types than the documented ones are mistakes."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=toml_key, hide_input_in_errors=True
    )


def is_table(annotation: object) -> bool:
    """Whether a field of that type is one table, and not a list of tables or a value."""
    return isinstance(annotation, type) and issubclass(annotation, Section)
