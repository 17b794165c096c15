"""Writes the first version of a check: four answers, and what the baseline says now as the expectation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rehearse.checks.clients import client_for, engine_for, is_http
from rehearse.checks.context import CheckContext, CheckedSide
from rehearse.errors import ConfigError, NotReady
from rehearse.model import Severity
from rehearse.redaction import cut

if TYPE_CHECKING:
    from rehearse.codec import JsonData

MOST_FIELDS = 12
LONGEST_NAME = 48
_REQUEST = re.compile(r"(GET|HEAD|OPTIONS|POST|PUT|PATCH|DELETE) (/\S*)(?: (.+))?", re.DOTALL)
_TYPES = {bool: "bool", int: "number", float: "number", str: "str"}
_WRITTEN = {"bool": "is bool", "number": "in (int, float)", "str": "is str"}
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")

Path = tuple[str | int, ...]  # ("items", 0, "price")


@dataclass(frozen=True, slots=True)
class Answers:
    """What somebody knows of a break."""

    broke: str
    seen: str
    shows: str  # "GET /orders/1", "POST /orders {...}", or a query
    severity: Severity
    broke_on: str  # ISO 8601 dates
    today: str
    check_id: str = ""  # empty: made of `broke`
    component: str = ""
    fields: tuple[str, ...] = ()  # "items[0].price"; none: the first ones that are there

    @property
    def name(self) -> str:
        """Of the function, and of its file."""
        return "test_" + (_words(self.broke, "_") or "break")

    @property
    def id(self) -> str:
        """As the registry has it."""
        return self.check_id or _words(self.broke, "-") or "break"


def _words(text: str, between: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", " ", text.lower().encode("ascii", "ignore").decode())
    words = plain.split()
    while len(" ".join(words)) > LONGEST_NAME and len(words) > 1:
        words.pop()
    return between.join(words)[:LONGEST_NAME]


def source_of(answers: Answers, context: CheckContext, side: CheckedSide) -> str:
    """The file's text; `side` is asked now. Raises ConfigError, NotReady or TargetRefused."""
    body = _http_body(answers, context, side) if is_http(side) else _sql_body(answers, context, side)
    fixture = "candidate" if is_http(side) else "database"
    arguments = {
        "id": answers.id,
        "broke_on": answers.broke_on,
        "component": answers.component,
        "severity": answers.severity.value,
    }
    marker = "".join(f"    {name}={_text(value)},\n" for name, value in arguments.items() if value)
    return (
        f"{_docstring(f'{answers.broke}{_NL}{_NL}How it was seen: {answers.seen}{_NL}')}\n\n"
        "from __future__ import annotations\n\n"
        "import pytest\n\n\n"
        f"@pytest.mark.breakage(\n{marker})\n"
        f"def {answers.name}({fixture}):\n"
        f"    {_docstring(answers.broke)}\n" + "".join(f"    {line}\n" for line in body)
    )


_NL = "\n"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=True)


def _docstring(text: str) -> str:
    """What people wrote is only ever text."""
    is_plain = text.isascii() and "\\" not in text and '"' not in text and "\0" not in text
    return f'"""{text}"""' if is_plain else _text(text)


# --- a request ----------------------------------------------------------------------------------------------------


def _http_body(answers: Answers, context: CheckContext, side: CheckedSide) -> list[str]:
    import httpx

    method, path, sent = _request(answers.shows)
    try:
        with client_for(context, side) as client:
            answer = client.request(method, path, json=sent)
    except httpx.HTTPError as error:
        raise NotReady(f"the baseline does not answer {answers.shows[:80]!r}: {error}") from error
    said = answer.headers.get("content-type", "").partition(";")[0]
    return [
        f"answer = candidate.{_call(method, path, sent)}",
        f"# What the baseline answered on {answers.today}: values may change, this may not.",
        f"assert answer.status_code == {answer.status_code}",
        *(
            [f'assert answer.headers.get("content-type", "").partition(";")[0] == {_text(said)}']
            if said
            else []
        ),
        *_json_lines(answers, said, answer.content),
    ]


def _call(method: str, path: str, sent: JsonData) -> str:
    return (
        f"get({_text(path)})"
        if sent is None and method == "GET"
        else (f"request({_text(method)}, {_text(path)}" + (")" if sent is None else f", json={sent!r})"))
    )


def _request(shows: str) -> tuple[str, str, JsonData]:
    found = _REQUEST.fullmatch(shows.strip())
    if found is None:
        raise ConfigError(
            f"{shows[:80]!r} is no request; write it like 'GET /orders/1', or 'POST /orders {{\"sku\": 1}}'."
        )
    try:
        return found[1], found[2], None if found[3] is None else json.loads(found[3])
    except ValueError as error:
        raise ConfigError(f"{shows[:80]!r}: what follows the path is not JSON: {error}") from None


def _json_lines(answers: Answers, content_type: str, content: bytes) -> list[str]:
    if not content_type.endswith("json"):
        if answers.fields:
            raise ConfigError(
                f"--field {answers.fields[0]!r}: the baseline answers {content_type or 'nothing'}."
            )
        return []
    try:
        document = json.loads(content)
    except ValueError as error:
        raise NotReady(
            f"the baseline says that {answers.shows[:80]!r} is JSON, and it is not: {error}"
        ) from error
    kinds = dict(_leaves(document, ()))
    chosen = [_known(field, kinds) for field in answers.fields] or list(kinds)[:MOST_FIELDS]
    lines = [
        f"assert type({_value(path)}) {_WRITTEN[kinds[path]]}, {_text(_written(path))}" for path in chosen
    ]
    return ["body = answer.json()", *lines] if lines else []


def _value(path: Path) -> str:
    return "body" + "".join(f"[{step}]" if isinstance(step, int) else f"[{_text(step)}]" for step in path)


def _leaves(document: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Every field with its type; of a list only the first item, and of null nothing: it has no type to keep."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from _leaves(value, (*path, name))
    elif isinstance(document, list):
        yield from _leaves(document[0], (*path, 0)) if document else ()
    elif type(document) in _TYPES:
        yield path, _TYPES[type(document)]


def _known(field: str, kinds: dict[Path, str]) -> Path:
    path = tuple(name or int(number) for name, number in _STEP.findall(field))
    if path not in kinds:
        known = ", ".join(_written(one) for one in list(kinds)[:MOST_FIELDS]) or "none"
        raise ConfigError(f"--field {field!r}: the baseline's answer has no such value. It has: {known}.")
    return path


def _written(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


# --- a query ------------------------------------------------------------------------------------------------------


def _sql_body(answers: Answers, context: CheckContext, side: CheckedSide) -> list[str]:
    from sqlalchemy.exc import SQLAlchemyError

    if _REQUEST.fullmatch(answers.shows.strip()):
        raise ConfigError(
            f"{answers.shows[:80]!r} is a request, and the baseline is a database: write a query."
        )
    try:
        with engine_for(context, side).connect() as connection:
            rows: Sequence[Sequence[object]] = connection.exec_driver_sql(answers.shows).all()
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise NotReady(f"the baseline does not answer {answers.shows[:80]!r}: {cut(said, 300)}") from error
    return [
        'with database["candidate"].connect() as connection:',
        f"    rows = connection.exec_driver_sql({_text(answers.shows)}).all()",
        f"# What the baseline answered on {answers.today}: values may change, this may not.",
        *_row_lines(rows),
    ]


def _row_lines(rows: Sequence[Sequence[object]]) -> list[str]:
    if not rows:
        return ["assert rows == []"]
    kinds = [type(value).__name__ for value in rows[0]]
    return ["assert rows", f"assert [type(value).__name__ for value in rows[0]] == {kinds!r}"]
