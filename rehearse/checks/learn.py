"""Writes declared checks from how the known-good side is now: what is steady is learnt as it is, what is not by type.

The result is a start: whoever keeps it takes out what does not matter, and says what broke. Values that could be
secrets are never written, and neither are bodies.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import tomli_w

from rehearse.checks.probes.http import read_json
from rehearse.checks.probes.reach import Place
from rehearse.checks.probes.tls import VERSIONS, expiry_of, handshake, names_of
from rehearse.checks.tolerance import is_secret_name, plain, type_of
from rehearse.errors import ConfigError, NotReady
from rehearse.redaction import cut

if TYPE_CHECKING:
    from sqlalchemy import Engine

TIMES = 3
MOST_PATHS = 60
MOST_BYTES = 10_000_000
LONGEST_VALUE = 80
# What an upgrade loses without anybody noticing; cookies, dates and identifiers are nobody's contract.
HEADERS = (
    "access-control-allow-origin allow cache-control content-disposition content-encoding content-language"
    " content-security-policy cross-origin-opener-policy cross-origin-resource-policy location permissions-policy"
    " referrer-policy strict-transport-security vary www-authenticate x-content-type-options x-frame-options".split()
)
_ENOUGH_DAYS = (30, 14, 7)

IsPrivate = Callable[[str], bool]  # whether a value is a secret, or of this very side: its own host in a link


@dataclass(frozen=True, slots=True)
class Learnt:
    """One check as it is written: what it is called, its probe, and what is expected, by dotted key."""

    id: str
    story: str
    kind: str
    request: Mapping[str, object]
    expect: Mapping[str, object]
    notes: Sequence[str] = field(default=())


def written(checks: Iterable[Learnt], command: str, today: str) -> str:
    """The file."""
    head = f"# Written by `{_one_line(command)}` on {today}. Take out what does not matter, and say what broke.\n"
    return head + "".join(f"\n{_table(check)}" for check in checks)


def _table(check: Learnt) -> str:
    lines = ["[[check]]", f"id = {_toml(check.id)}", f"story = {_toml(check.story)}", ""]
    lines += [f"# {_one_line(note)}" for note in check.notes]
    lines += [f"[check.{check.kind}]", *(f"{key} = {_toml(value)}" for key, value in check.request.items())]
    lines += [f"expect.{key} = {_toml(value)}" for key, value in check.expect.items()]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """On one line."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    shown = value.replace("${", "$${") if isinstance(value, str) else value  # else it would name a variable
    return tomli_w.dumps({"x": shown}).removeprefix("x = ").rstrip("\n")


def _one_line(text: str) -> str:
    """A comment must not end before its line does."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _id(*words: str) -> str:
    joined = "-".join(filter(None, (re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words)))
    return f"learnt-{joined}"[:80].rstrip("-")


# --- HTTP


def learn_http(
    path: str, client: httpx.Client, is_private: IsPrivate, pause: Callable[[], object], times: int = TIMES
) -> Learnt:
    """What GET of `path` answers, asked several times. Raises NotReady when it does not, or answers with an error."""
    answers = []
    for number in range(times):
        if number:
            pause()
        answers.append(_answer(path, client))
    statuses = {answer.status_code for answer in answers}
    if len(statuses) > 1:
        raise NotReady(f"{path} answers with different statuses: {', '.join(map(str, sorted(statuses)))}.")
    expect: dict[str, object] = {"status": answers[0].status_code}
    expect |= _steady_headers(answers, is_private)
    documents, notes = _documents(answers), []
    if documents:
        learnt = list(_paths(documents, is_private))
        expect |= dict(learnt[:MOST_PATHS])
        notes = (
            [f"{len(learnt)} paths were found; these are the first {MOST_PATHS}."]
            if learnt[MOST_PATHS:]
            else []
        )
    story = f"Not a breakage: GET {path} is to answer as it did when this was learnt."
    return Learnt(_id("get", urlsplit(path).path), story, "http", {"path": path}, expect, notes)


def _answer(path: str, client: httpx.Client) -> httpx.Response:
    try:
        answer = client.get(path, follow_redirects=False)
    except httpx.HTTPError as error:
        raise NotReady(f"{path} does not answer: {type(error).__name__}: {error}.") from error
    if answer.status_code >= 500:
        raise NotReady(
            f"{path} answers with status {answer.status_code}: nothing good can be learnt from that."
        )
    if len(answer.content) > MOST_BYTES:
        raise NotReady(f"{path} answers with more than {MOST_BYTES:,} bytes; learn from a smaller one.")
    return answer


def _steady_headers(answers: Sequence[httpx.Response], is_private: IsPrivate) -> Iterator[tuple[str, object]]:
    """Those that matter: as they are when they are steady, present when they are not."""
    types = {answer.headers.get("content-type", "").partition(";")[0].strip() for answer in answers}
    if len(types) == 1 and "" not in types:
        yield "content_type", types.pop()
    for name in HEADERS:
        values = {answer.headers.get(name) for answer in answers}
        if None in values:
            continue
        value = str(values.pop())
        is_learnt = (
            not values and not is_private(value) and len(value) <= LONGEST_VALUE and value.isprintable()
        )
        yield f"headers.{name}", value if is_learnt else {"present": True}


def _documents(answers: Sequence[httpx.Response]) -> list[object]:
    """The bodies as JSON; none when one of them is not."""
    try:
        return [read_json(answer.content) for answer in answers]
    except (ValueError, RecursionError):
        return []


def _paths(documents: Sequence[object], is_private: IsPrivate) -> Iterator[tuple[str, object]]:
    """Every path that all of the documents have: its value if that is steady, else the types that were seen."""
    seen = [_values_by_path(document) for document in documents]
    for path in seen[0]:
        if all(path in other for other in seen):
            found = [value for other in seen for value in other[path]]
            yield f"json.{json.dumps(path, ensure_ascii=False)}", _expected(path, found, is_private)


def _values_by_path(document: object) -> dict[str, list[object]]:
    """ "$.items[*].price" -> all the prices."""
    found: dict[str, list[object]] = {}
    waiting: list[tuple[str, object]] = [("$", document)]
    while waiting:
        path, value = waiting.pop(0)
        found.setdefault(path, []).append(value)
        if isinstance(value, dict):
            waiting += [(path + _step(name), item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{path}[*]", item) for item in value]
    return found


def _step(name: str) -> str:
    return f".{name}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else f"[{json.dumps(name)}]"


def _expected(path: str, found: Sequence[object], is_private: IsPrivate) -> object:
    """A value that is one of many, that changes, that is long, or that could be a secret, is learnt by its type."""
    first = found[0]
    is_plain = isinstance(first, bool | int | str) and (not isinstance(first, str) or first.isprintable())
    is_steady = "[*]" not in path and all(type(value) is type(first) and value == first for value in found)
    is_safe = not is_secret_name(path) and not is_private(str(first)) and len(str(first)) <= LONGEST_VALUE
    if is_plain and is_steady and is_safe:
        return first
    types = sorted({type_of(value) for value in found})
    if "number" in types and "integer" in types:
        types.remove("integer")
    return {"type": types[0] if len(types) == 1 else types}


# --- TLS


def learn_tls(place: Place, now: datetime, timeout_s: float = 5.0) -> Learnt:
    """The certificate and the version that a client of today gets. Raises NotReady when it does not verify."""
    try:
        certificate, version = handshake(place, None, place.tls, timeout_s)
    except OSError as error:  # ssl.SSLError is one
        raise NotReady(
            f"{place.host}:{place.port} does not show a certificate that verifies: {error}."
        ) from error
    expect: dict[str, object] = {"verifies": True}
    days = (expiry_of(certificate) - now) // timedelta(days=1)
    enough = next((least for least in _ENOUGH_DAYS if days > least), None)
    if enough is not None:
        expect["not_expiring_within"] = f"{enough}d"
    if version in VERSIONS:
        expect["minimum_version"] = version
    notes = [f"Found: {', '.join(names_of(certificate))}; until {expiry_of(certificate):%Y-%m-%d}."]
    story = "Not a breakage: the certificate is to verify, and to last."
    return Learnt(_id("tls", place.host), story, "tls", {}, expect, notes)


# --- SQL


def learn_sql(
    query: str, engine: Engine, is_private: IsPrivate, pause: Callable[[], object], times: int = TIMES
) -> Learnt:
    """What a query answers, asked several times. Raises NotReady when it does not answer rows."""
    answers = []
    for number in range(times):
        if number:
            pause()
        answers.append(_rows(query, engine))
    columns = answers[0][0]
    counts = [len(rows) for _, rows in answers]
    expect: dict[str, object] = {"columns": columns}
    if len(columns) == 1 and set(counts) == {1}:
        found = [rows[0][0] for _, rows in answers]
        name = columns[0] if len(columns[0]) < LONGEST_VALUE else ""
        expect["scalar"] = _expected(f"$.{name}", found, is_private)
    elif len(set(counts)) == 1:
        expect["rows"] = counts[0]
    else:
        expect["rows"] = [0 if 0 in counts else 1, float("inf")]
    digest = hashlib.sha256(query.encode()).hexdigest()[:8]
    story = "Not a breakage: this query is to answer as it did when this was learnt."
    return Learnt(_id("sql", digest), story, "sql", {"query": query}, expect)


def _rows(query: str, engine: Engine) -> tuple[list[str], list[list[object]]]:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with engine.connect() as connection:
            result = connection.execution_options(no_parameters=True).exec_driver_sql(query)
            if not result.returns_rows:
                raise NotReady("the query answers no rows at all; write one that selects something.")
            columns, rows = list(result.keys()), result.fetchmany(100_000)
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise NotReady(f"the query is not answered: {cut(said, 200)}.") from error
    return columns, [list(map(_learnable, row)) for row in rows]


def _learnable(value: object) -> object:
    """A value as JSON would have it; TOML has no decimal numbers."""
    value = plain(value)
    return float(value) if isinstance(value, Decimal) else value


# --- files


def learn_file(path: str, root: Path) -> Learnt:
    """That a file is there, with these permissions and this content. Raises ConfigError when it is not."""
    file = root / path
    try:
        content, mode = file.read_bytes(), stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    expect = {"sha256": hashlib.sha256(content).hexdigest(), "mode": f"{mode:04o}"}
    story = "Not a breakage: the file is to stay as it was when this was learnt."
    return Learnt(_id("file", path), story, "file", {"path": path}, expect)
