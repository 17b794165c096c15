"""A Chromium that tests look through: the DevTools protocol over a pipe, so no extra package."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
_IS_LOOKING = """(async () => {
  if (document.readyState !== 'complete') return false;
  const sdk = await import('devtools://devtools/bundled/core/sdk/sdk.js');
  const page = sdk.TargetManager.TargetManager.instance().primaryPageTarget();
  return Boolean(page && page.model(sdk.NetworkManager.NetworkManager));
})()"""  # DevTools in a tab of its own is connected to the other tab
_FIRST_FREE = 20  # descriptors 3 and 4 are Chromium's ends of the pipes


class Browser:
    """One page in a Chromium with a profile of its own; what it asked for and complained about is kept."""

    def __init__(self, chromium: Path, profile: Path, debugging_port: bool = False) -> None:
        self._profile = profile
        self._port = _free_port() if debugging_port else None
        self._last_id = 0
        self._session: str | None = None
        self._target = ""
        self._unread = b""
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self._child = self._start(chromium)

    def _start(self, chromium: Path) -> int:
        theirs_in, ours_out = (_moved(end) for end in os.pipe())
        ours_in, theirs_out = (_moved(end) for end in os.pipe())
        actions = [(os.POSIX_SPAWN_DUP2, theirs_in, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4)]
        quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
        port = [f"--remote-debugging-port={self._port}", "--remote-allow-origins=*"] if self._port else []
        command = [str(chromium), *_SWITCHES, *port, f"--user-data-dir={self._profile}", "about:blank"]
        child = os.posix_spawn(
            str(chromium), command, os.environ, file_actions=[*quiet, *actions], setpgroup=0
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        return child

    def __enter__(self) -> Self:
        self.renew()
        return self

    def renew(self) -> None:
        """A new tab in place of the one before: nothing of what that one pretended to be is left."""
        self._session, before = None, self._target
        self._target = str(self._call("Target.createTarget", url="about:blank")["targetId"])
        self._session = self._attached(self._target)
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable")
        if before:
            self._call("Target.closeTarget", targetId=before)

    def __exit__(self, *_: object) -> None:
        os.killpg(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(
        self, page: Path, width: int, height: int, has_script: bool = True, scheme: str = "light"
    ) -> None:
        """Load `page` in a window of this size, a phone when it is narrow."""
        self._call("Emulation.setScriptExecutionDisabled", value=not has_script)
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                   mobile=width < 600)  # fmt: skip
        self.emulate("screen", scheme)
        self.requested.clear()  # now that all that the page before had to say was read
        self.complaints.clear()
        self._call("Page.navigate", url=page.as_uri())
        self._wait_for("Page.loadEventFired")

    def visit(self, url: str) -> None:
        """Load an address, and wait until it is loaded."""
        self._call("Page.navigate", url=url)
        self._wait_for("Page.loadEventFired")

    def run(self, expression: str) -> Any:
        """What a promise comes to, as JSON."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"])[:500])
        return answer["result"].get("value")

    @contextmanager
    def devtools(self) -> Iterator[Tab]:
        """A second tab with DevTools in it, looking at the first; needs a debugging port."""
        page = f"devtools_app.html?ws=127.0.0.1:{self._port}/devtools/page/{self._target}"
        mine, self._session = self._session, None
        target = self._call("Target.createTarget", url=f"devtools://devtools/bundled/{page}")["targetId"]
        tab = Tab(self, self._attached(target))
        self._session = mine
        while not tab.run(_IS_LOOKING):
            time.sleep(0.05)
        yield tab

    def _attached(self, target: str) -> str:
        return str(self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def run_in(self, session: str, expression: str) -> Any:
        """As `run`, in another tab."""
        mine, self._session = self._session, session
        try:
            return self.run(expression)
        finally:
            self._session = mine

    def emulate(self, media: str, scheme: str = "light") -> None:
        """Pretend to be paper, or a screen in the dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", media=media, features=features)

    def content_size(self) -> tuple[int, int]:
        """Width and height of what could be scrolled to, in CSS pixels."""
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        return int(size["width"]), int(size["height"])

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def screenshot(self, path: Path, is_whole_page: bool = False) -> None:
        """What is seen, or the whole page, as PNG."""
        answer = self._call("Page.captureScreenshot", captureBeyondViewport=is_whole_page)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self) -> bytes:
        """The page as it would be printed, on A4 unless the page says otherwise."""
        self.emulate("print")
        answer = self._call("Page.printToPDF", preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.69)
        return base64.b64decode(answer["data"])

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._last_id += 1
        message: dict[str, object] = {"id": self._last_id, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._last_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def _wait_for(self, event: str) -> None:
        while self._read().get("method") != event:
            pass

    def _read(self) -> Mapping[str, Any]:
        while b"\0" not in self._unread:
            part = os.read(self._in, 1 << 16)
            if not part:
                raise RuntimeError("Chromium closed its pipe")
            self._unread += part
        text, self._unread = self._unread.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        self._note(message)
        return message

    def _note(self, message: Mapping[str, Any]) -> None:
        if message.get("method") == "Network.requestWillBeSent":
            self.requested.append(message["params"]["request"]["url"])
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(message["params"]["exceptionDetails"]["text"]))


@dataclass(frozen=True)
class Tab:
    """Another tab of the same browser."""

    browser: Browser
    session: str

    def run(self, expression: str) -> Any:
        """What a promise comes to there, as JSON."""
        return self.browser.run_in(self.session, expression)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _moved(descriptor: int) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    os.close(descriptor)
    return moved
