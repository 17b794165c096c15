"""Credentials that are renewed while checks run. Real child processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rehearse.checks.orders import CheckMessage, Finished, Trouble
from rehearse.checks.runner import PytestRunner
from rehearse.codec import to_jsonable
from rehearse.errors import NotReady
from rehearse.model import CheckOutcome
from rehearse.tokens import FreshHeaders, TokenSource
from tests.checks.breaks import Checks
from tests.servers import Site, serving

pytestmark = pytest.mark.live  # a child process for each of them

ASKS = """
@pytest.mark.breakage(id="long")
def test_long(candidate):
    for _ in range(60):
        assert candidate.get("/long").status_code == 200
        time.sleep(0.05)


@pytest.mark.breakage(id="own")
def test_own(candidate):
    candidate.get("/own", headers={"Authorization": "of the check itself"})


@pytest.mark.breakage(id="next")
def test_next(candidate):
    candidate.get("/next")
"""


@dataclass
class Told(TokenSource):
    """A source whose token is what somebody says at the moment."""

    say: Callable[[], str] = str

    def header(self) -> Mapping[str, str]:
        return {"Authorization": self.say()}


def ran(root: Path, site: Site, say: Callable[[], str]) -> list[CheckMessage]:
    checks = Checks(root, candidate=site.url)
    checks.write("test_asks.py", ASKS)
    order = checks.order()
    assert order.context.candidate is not None
    source = Told(command=None, say=say)  # type: ignore[arg-type]  # it runs none
    candidate = replace(order.context.candidate, headers=FreshHeaders({"X-Fixed": "1"}, source))
    order = replace(order, context=replace(order.context, candidate=candidate))
    with closing(PytestRunner().run(order, str)) as messages:
        return list(messages)


def test_a_renewed_token_reaches_the_check_under_way_and_the_next_one(tmp_path: Path) -> None:
    with serving() as site:
        messages = ran(tmp_path, site, lambda: "new" if len(site.requests) >= 3 else "old")
        outcomes = [message.result.outcome for message in messages if isinstance(message, Finished)]
    assert outcomes == [CheckOutcome.PASSED] * 3, messages
    by_path = dict(zip(site.requests, site.authorizations, strict=True))
    assert site.authorizations[0] == "old"
    assert by_path == {"GET /long": "new", "GET /own": "of the check itself", "GET /next": "new"}


def test_a_child_that_is_told_half_a_line_ends_with_rehearse(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    checks.write(
        "test_waits.py", '@pytest.mark.breakage(id="waits")\ndef test_waits():\n    time.sleep(60)\n'
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "rehearse.checks.child"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(to_jsonable(checks.order())).encode() + b"\n")
        child.stdin.flush()
        assert any(b"Began" in line for line in child.stdout)
        child.stdin.write(b'{"candidate": {"Author')
        child.stdin.close()
        assert child.wait(10) == -signal.SIGKILL


def test_without_a_good_token_nothing_more_is_asked_and_nothing_is_held_against_the_candidate(
    tmp_path: Path,
) -> None:
    with serving() as site:

        def expired() -> str:
            if len(site.requests) >= 3:
                site.status = 401
                raise NotReady("the auth command 'tell' ended with exit code 1")
            return "old"

        messages = ran(tmp_path, site, expired)
    troubles = [message.sentence for message in messages if isinstance(message, Trouble)]
    assert troubles[0] == "the auth command 'tell' ended with exit code 1"
    assert "3 checks were never run" in troubles[1]
    assert not [message for message in messages if isinstance(message, Finished)]
