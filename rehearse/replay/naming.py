"""Names for routes: what differs from one visit to the next is folded, so that one endpoint has one name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from keyword import iskeyword
from urllib.parse import unquote, urlsplit

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")
_ID = re.compile(
    r"\d+"  # 17
    r"|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"  # a UUID
    r"|(?=.*\d)[0-9a-fA-F]{8,}"  # a hash, an ObjectId
    r"|[0-7][0-9A-HJKMNP-TV-Z]{25}"  # a ULID
    r"|(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_-]{20,}"  # what no person would write
    r"|SCRUBBED"
)
_MAX_NAME = 120
_MAX_FUNCTION_NAME = 60


def route_name(path: str) -> str:
    """`/products/17?page=2` -> `/products/[id]`: without query, ids and dates folded."""
    segments = [_folded(unquote(segment)) for segment in urlsplit(path).path.split("/")]
    name = "".join(char if char.isprintable() else "?" for char in "/".join(segments))
    return name[:_MAX_NAME] or "/"


def _folded(segment: str) -> str:
    if _DATE.fullmatch(segment):
        return "[date]"
    stem, dot, extension = segment.rpartition(".")
    if dot and _ID.fullmatch(stem) and extension.isalpha():
        return f"[id].{extension}"
    return "[id]" if _ID.fullmatch(segment) else segment


def function_name(*parts: str) -> str:
    """A plain Python name of these words: `get_products_id`."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", " ".join(parts))
    name = "_".join(words).lower()[:_MAX_FUNCTION_NAME].strip("_") or "request"
    return f"visit_{name}" if name[0].isdigit() or iskeyword(name) else name


def unique_names(names: Iterable[str]) -> list[str]:
    """The same names; one that was there before gets a number."""
    taken: set[str] = set()
    found = []
    for name in names:
        number, chosen = 2, name
        while chosen in taken:
            chosen, number = f"{name}_{number}", number + 1
        taken.add(chosen)
        found.append(chosen)
    return found
