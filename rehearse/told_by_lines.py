"""A child process that is told by lines of JSON on stdin, and tells by lines of JSON on what was its stdout."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import IO, Any

from rehearse.errors import RehearseError

_LONGEST_LINE_BYTES = 1 << 20


class Answers:
    """What is told to the process that started this one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def tell(self, message: Mapping[str, object]) -> None:
        """One line; whoever started us may be gone, which shows at stdin."""
        with suppress(BrokenPipeError):
            self._file.write(json.dumps(message).encode() + b"\n")
            self._file.flush()


def run_told(serve: Callable[[asyncio.StreamReader, Answers], Coroutine[Any, Any, None]]) -> None:
    """Run `serve` to its end; why it could not go on is told as the last line, {"failed", "kind"}."""
    with os.fdopen(os.dup(1), "wb") as file:
        os.dup2(2, 1)  # nothing else may speak there
        asyncio.run(_run(serve, Answers(file)))


async def _run(
    serve: Callable[[asyncio.StreamReader, Answers], Coroutine[Any, Any, None]], answers: Answers
) -> None:
    try:
        await serve(await _read_stdin(), answers)
    except (RehearseError, OSError, ValueError) as error:
        answers.tell({"failed": str(error), "kind": type(error).__name__})


async def _read_stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_LONGEST_LINE_BYTES)
    stdin = os.fdopen(os.dup(0), "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stdin)
    return reader
