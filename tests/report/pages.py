"""Report pages as trees, and results in which every text is hostile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import cache
from typing import TypeAlias, TypeVar
from xml.etree.ElementTree import Element

import html5lib

from rehearse.model import Result
from rehearse.report.html import render_html

T = TypeVar("T")
Make: TypeAlias = Callable[[], Result]

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "template": "{{7*7}}{% raw %}{#",
    "end of title": "</title></style></svg><img src=x onerror=alert(1)>",
    "end of data": "]]>--><!--",
    "attribute": "\"onload=alert(1) x='`",
    "url": "javascript:alert(1)",
    "controls": "\x00\x07\x1b[31mred\x1b]0;title\x07\x9b\x7f\r\n::error::GO",
    "half surrogate": "\ud800\ufffe\U0001ffff\ufdd0",
    "reordering": "\u202eOG\u202c\u2066\u200b\ufeff\u2028",
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1f3\U0001f1f1",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "very long": "x" * 3000,
    "long endpoint": "GET /" + "/".join(["segment-of-a-path"] * 17)[:295],
    "entities": "&lt;b&gt;&amp;#0;&",
    "markdown": "**GO** | `code` @everyone",
}


def tree_of(result: Result) -> Element:
    """The page of `result`, parsed; raises on the first parse error."""
    return parsed(render_html(result))


@cache
def tree(make: Make) -> Element:
    """The page of an example, parsed once."""
    return tree_of(make())


def parsed(page: str) -> Element:
    """`page` as a tree, by the rules that browsers follow, but strict."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    root: Element = parser.parse(page)
    return root


def tag(element: Element) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rsplit("}", 1)[-1]


def find_all(root: Element, *names: str) -> Iterator[Element]:
    """Every element of these names, in the order of the page."""
    return (element for element in root.iter() if tag(element) in names)


def by_id(root: Element, name: str) -> Element:
    """The one element with this id."""
    (found,) = [element for element in root.iter() if element.get("id") == name]
    return found


def text_of(element: Element) -> str:
    """What is read in an element, white space folded."""
    return " ".join("".join(element.itertext()).split())


def with_texts(value: T, change: Callable[[str], str]) -> T:
    """A copy of `value` in which every text is changed, keys of mappings too; words of enums stay."""
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return change(value)  # type: ignore[return-value]  # a str stays a str
    if isinstance(value, tuple):
        return tuple(with_texts(item, change) for item in value)  # type: ignore[return-value]
    if isinstance(value, Mapping):
        return {change(key): with_texts(item, change) for key, item in value.items()}  # type: ignore[return-value]
    if is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: with_texts(getattr(value, field.name), change) for field in fields(value)}
        return replace(value, **changed)
    return value
