"""The shop can be made slower, and nothing else: what benches hold `rehearse` against."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from rehearse.shop.__main__ import main
from rehearse.shop.serving import Slowed

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

WORK_S = 0.05


async def working(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await asyncio.sleep(WORK_S)
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-own", b"yes")]})
    await send({"type": "http.response.body", "body": b"done"})


def test_an_answer_begins_so_many_times_as_late_and_is_the_same() -> None:
    async def ask() -> tuple[httpx.Response, float]:
        transport = httpx.ASGITransport(Slowed(working, 3.0))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            began_s = time.perf_counter()
            answer = await client.get("/")
            return answer, time.perf_counter() - began_s

    answer, took_s = asyncio.run(ask())
    assert (answer.status_code, answer.text, answer.headers["x-own"]) == (201, "done", "yes")
    assert took_s >= 3 * WORK_S


@pytest.mark.parametrize("given", ["0.5", "1000", "fast"])
def test_only_slower_by_a_number_makes_sense(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--version", "1.0", "--port", "1", "--slowness", given])
    assert "--slowness" in capsys.readouterr().err
