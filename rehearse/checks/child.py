"""The child process that runs checks: pytest, with every result told at once, and sockets under guard.

It reads its order from stdin and writes one JSON document a line to the stdout it was started with; what checks print
goes to stderr. When stdin ends, `rehearse` is gone, and so is this process with all that it started.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import IO, cast

import pytest

from rehearse.allowlist import AllowList, install_socket_guard
from rehearse.checks.orders import (
    Began,
    CheckMessage,
    CheckOrder,
    Collected,
    Ended,
    Finished,
    Trouble,
)
from rehearse.checks.outcomes import MOST_CHARACTERS, Phase, result_of
from rehearse.checks.session import MISTAKES, ORDER, PLANNED, REACH, REFUSALS
from rehearse.codec import from_jsonable, to_jsonable
from rehearse.model import CheckResult
from rehearse.process_groups import kill_live_groups
from rehearse.redaction import cut

SETTINGS = Path(__file__).parent / "pytest.ini"


class Stream:
    """The way back to `rehearse`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._owner = os.getpid()

    def tell(self, message: CheckMessage) -> None:
        """One line, at once; nothing from a process that a check has forked."""
        if os.getpid() == self._owner:
            line = json.dumps({"type": type(message).__name__, "body": to_jsonable(message)})
            self._file.write(line.encode() + b"\n")
            self._file.flush()


class Teller:
    """Tells `rehearse` what pytest sees, as it sees it."""

    def __init__(self, order: CheckOrder, stream: Stream, refusals: list[str]) -> None:
        self._order = order
        self._stream = stream
        self._refusals = refusals
        self._phases: list[Phase] = []
        self._planned: Mapping[str, CheckResult] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[ORDER] = self._order
        config.stash[REACH] = lambda: (self._order, lambda side: side)  # `rehearse` has proven both
        config.stash[REFUSALS] = self._refusals
        config.stash[PLANNED], config.stash[MISTAKES] = {}, []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            what = f"{report.nodeid or 'the checks'} cannot be collected: {_last_line(report.longreprtext)}"
            self._stream.tell(Trouble(what))
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "no reason given"
            self._stream.tell(Trouble(f"{report.nodeid} was skipped as a whole: {reason}"))

    def pytest_internalerror(self, excrepr: object) -> None:
        self._stream.tell(Trouble(f"pytest itself failed: {_last_line(str(excrepr))}"))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for mistake in session.config.stash[MISTAKES]:
            self._stream.tell(Trouble(mistake))
        planned = session.config.stash[PLANNED]
        self._planned = {item.nodeid: planned[item.nodeid] for item in session.items}
        self._stream.tell(Collected(tuple(self._planned.values())))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._phases.clear()
        self._refusals.clear()
        self._stream.tell(Began(self._planned[nodeid].source))

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost: xfail has had its say
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        self._phases.append(_phase(report, call))
        return report

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        planned = self._planned[nodeid]
        self._stream.tell(Finished(result_of(planned, self._phases, self._refusals, self._order.today)))


def _phase(report: pytest.TestReport, call: pytest.CallInfo[None]) -> Phase:
    reason = getattr(report, "wasxfail", None)
    return Phase(
        when=str(report.when),
        outcome=report.outcome,
        said=cut(_said(report, call, reason), MOST_CHARACTERS),
        error="" if call.excinfo is None else call.excinfo.typename,
        is_xfail=reason is not None,
        duration_s=report.duration,
    )


def _said(report: pytest.TestReport, call: pytest.CallInfo[None], reason: str | None) -> str:
    """Why it failed or was skipped; empty when it passed."""
    if reason is not None:
        return str(reason).removeprefix("reason: ")
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ").removeprefix("Skipped")
    if report.failed and call.excinfo is not None:
        is_told = isinstance(call.excinfo.value, pytest.fail.Exception)  # by pytest.fail: a whole sentence
        said = str(call.excinfo.value) if is_told else call.excinfo.exconly(tryshort=True)
        told, _, _ = said.removeprefix("AssertionError: ").partition(
            "\nassert "
        )  # pytest adds the expression
        return told
    return report.longreprtext if report.failed else ""


def _last_line(text: str) -> str:
    lines = [line.removeprefix("E").strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def take_stdout() -> IO[bytes]:
    """The stdout that we were started with, for messages only; prints of checks go to stderr from now on."""
    file = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return file


def take_order() -> CheckOrder:
    """The first line of stdin. The rest of it only ends when `rehearse` does; checks have an empty stdin."""
    stdin = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    order = from_jsonable(CheckOrder, json.loads(stdin.readline()))
    headers = {
        side.side.value: side.headers
        for side in (order.context.baseline, order.context.candidate)
        if side is not None
    }
    threading.Thread(target=_listen, args=(stdin, headers), daemon=True).start()
    return order


def _listen(stdin: IO[bytes], headers: Mapping[str, Mapping[str, str]]) -> None:
    """A further line has the headers of each side from now on; clients take them at their next request.

    At the end `rehearse` is gone: end this process, what checks began in its group, and commands in their own groups.
    """
    try:
        for line in stdin:
            for side, now in json.loads(line).items():
                cast("dict[str, str]", headers[side]).update(now)
    finally:  # also after half a line
        kill_live_groups()
        os.killpg(os.getpgid(0), signal.SIGKILL)


def arguments(order: CheckOrder) -> list[str]:
    """The command line of pytest: its own settings, no conftest.py from outside, no cache."""
    without = [word for plugin in ("locust", "cacheprovider") for word in ("-p", f"no:{plugin}")]
    return [
        "-c",
        str(SETTINGS),
        f"--rootdir={order.root}",
        f"--confcutdir={order.folder or SETTINGS.parent}",
        *without,
        "-p",
        "rehearse.pytest_plugin",
        "--strict-markers",
        "--strict-config",
        "--continue-on-collection-errors",
        "--tb=short",
        *(["--collect-only", "-q"] if order.is_listing else []),
        *order.paths,
    ]


def main() -> None:
    """Entry point of the child process."""
    stream = Stream(take_stdout())
    order = take_order()
    refusals: list[str] = []
    install_socket_guard(AllowList(order.context.allow, order.context.production), refusals.append)
    code = pytest.main(arguments(order), plugins=[Teller(order, stream, refusals)])
    stream.tell(Ended(int(code)))
    sys.stderr.flush()
    os._exit(0)  # a thread that a check left behind must not hold us


if __name__ == "__main__":
    main()
