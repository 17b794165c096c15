"""Writes a recording as a Locust file that a person would have written: plain, and safe whatever was recorded.

Every text of the recording becomes a literal; nothing of it can become code.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from math import gcd, isfinite

from rehearse.codec import JsonData
from rehearse.replay.naming import function_name, unique_names
from rehearse.replay.recording import Journey, Recording, Step

_FRESH_FOR_EACH = frozenset({"idempotency-key", "x-idempotency-key", "x-request-id"})
_SHORTCUTS = frozenset({"get", "head", "options", "post", "put", "patch", "delete"})
_MAX_WEIGHT = 1000
_WIDTH = 100


def locust_file(recording: Recording, command: str) -> str:
    """The whole file. `command` is what made it."""
    names = unique_names(function_name(journey.title) for journey in recording.journeys)
    pools = _pools(recording.journeys, names)
    tasks = [
        line
        for name, journey, weight in zip(names, recording.journeys, weights(recording.journeys), strict=True)
        for line in _task(name, journey, weight, pools)
    ]
    text = "\n".join(tasks)
    lines = [
        *_docstring(recording, command),
        "",
        "from __future__ import annotations",
        "",
        *(["import random"] if pools else []),
        *(["from uuid import uuid4"] if "uuid4()" in text else []),
        *([""] if pools or "uuid4()" in text else []),
        "from locust import FastHttpUser, constant, task",
        "",
        *(line for pool, step in pools.values() for line in _pool(pool, step.paths)),
        *(_ANY_OF if pools else []),
        "",
        "class Visitor(FastHttpUser):",
        '    """Does what was recorded."""',
        "",
        "    wait_time = constant(1)  # for plain Locust; `rehearse` says itself when a journey begins",
        "",
        text,
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


_ANY_OF = [
    "",
    "",
    "def any_of(paths: dict[str, int]) -> str:",
    '    """One of the paths, each as often as it was recorded."""',
    "    return random.choices(tuple(paths), tuple(paths.values()))[0]",
    "",
]


def weights(journeys: Sequence[Journey]) -> list[int]:
    """Small whole numbers in the same proportion."""
    found = [journey.weight for journey in journeys]
    largest = max(found, default=1)
    if largest > _MAX_WEIGHT:
        found = [max(1, round(weight * _MAX_WEIGHT / largest)) for weight in found]
    divisor = gcd(*found) or 1
    return [weight // divisor for weight in found]


def literal(text: str) -> str:
    """A text as Python writes it, in double quotes where that needs no escape."""
    written = repr(text)
    return f'"{written[1:-1]}"' if written[0] == "'" and '"' not in written else written


def _docstring(recording: Recording, command: str) -> Iterator[str]:
    yield f'"""Made from {_prose(recording.source)}. It is yours now: edit it.'
    yield ""
    yield f"    {_prose(command)}"
    if recording.base_url:
        yield from ("", *_wrapped(f"Recorded at {recording.base_url}."))
    for title, counts in (("Left out", recording.left_out), ("Scrubbed", recording.scrubbed)):
        if counts:
            yield from ("", *_wrapped(f"{title}: {counted(counts)}."))
    for note in recording.notes:
        yield from ("", *_wrapped(note))
    yield '"""'


def counted(counts: Mapping[str, int]) -> str:
    """`17 × images, 2 × POST`, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count} × {what}" for what, count in ordered)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(_prose(text), _WIDTH, break_long_words=False, break_on_hyphens=False)


def _prose(text: str) -> str:
    """Text for a docstring: it cannot end it."""
    plain = "".join(char if char.isprintable() else "?" for char in text)
    return plain.replace("\\", "/").replace('"', "'")


def _pools(journeys: Sequence[Journey], names: Sequence[str]) -> dict[int, tuple[str, Step]]:
    """Constants for the steps that have several paths, by the step's identity."""
    steps = [
        (name, step)
        for name, journey in zip(names, journeys, strict=True)
        for step in journey.steps
        if len(step.paths) > 1
    ]
    pool_names = unique_names(name.upper() for name, _ in steps)
    return {id(step): (pool, step) for pool, (_, step) in zip(pool_names, steps, strict=True)}


def _pool(name: str, paths: Mapping[str, int]) -> Iterator[str]:
    yield f"{name} = {{"
    yield from (f"    {literal(path)}: {count}," for path, count in paths.items())
    yield "}"


def _task(name: str, journey: Journey, weight: int, pools: Mapping[int, tuple[str, Step]]) -> Iterator[str]:
    yield f"    @task({weight})" if weight != 1 else "    @task"
    yield f"    def {name}(self) -> None:"
    for step in journey.steps:
        yield from _request(step, pools)
    yield ""


def _request(step: Step, pools: Mapping[int, tuple[str, Step]]) -> Iterator[str]:
    path = next(iter(step.paths))
    where = f"any_of({pools[id(step)][0]})" if id(step) in pools else literal(path)
    method = step.method.lower()
    start = (
        f"self.client.{method}(" if method in _SHORTCUTS else f"self.client.request({literal(step.method)}, "
    )
    arguments = [where]
    if where != literal(step.name):
        arguments.append(f"name={literal(step.name)}")
    if step.headers:
        arguments.append(f"headers={_headers(step.headers)}")
    if step.body is not None:
        arguments.append(
            f"json={_json(step.body.json)}" if step.body.text is None else f"data={literal(step.body.text)}"
        )
    line = f"        {start}{', '.join(arguments)})"
    if len(line) <= _WIDTH:
        yield line
        return
    yield f"        {start.rstrip()}"
    yield from (f"            {argument}," for argument in arguments)
    yield "        )"


def _json(data: JsonData) -> str:
    """Data as a Python literal; a number too large for JSON has none."""
    if isinstance(data, dict):
        return f"{{{', '.join(f'{literal(key)}: {_json(value)}' for key, value in data.items())}}}"
    if isinstance(data, list):
        return f"[{', '.join(map(_json, data))}]"
    if isinstance(data, str):
        return literal(data)
    return "None" if isinstance(data, float) and not isfinite(data) else repr(data)


def _headers(headers: Mapping[str, str]) -> str:
    pairs = (
        f"{literal(name)}: {'uuid4().hex' if name.lower() in _FRESH_FOR_EACH else literal(value)}"
        for name, value in headers.items()
    )
    return f"{{{', '.join(pairs)}}}"


def arrivals_file(recording: Recording, command: str) -> str:
    """The recorded arrival times, one a line, in seconds since the first."""
    return f"# {_prose(command)}\n" + "".join(f"{at_s:.3f}\n" for at_s in recording.arrivals_s)
