"""The environments under rehearsal: brought up, asked whether they are ready, staging, and what they run.

Everything here happens before load, over guarded connections: a target that cannot be shown to be allowed, ready and
staging gets no load at all.
"""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from rehearse.allowlist import AllowList, host_and_port, is_loopback, system_resolve
from rehearse.errors import NotReady, TargetRefused
from rehearse.model import Side, TargetFacts

COMMAND_TIMEOUT_S = 600.0
PROBE_TIMEOUT_S = 5.0
POLL_S = 0.1
STOP_TIMEOUT_S = 5.0
MAX_FACTS_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """One target as configured; argv lists run without a shell in `working_dir`."""

    side: Side
    name: str
    url: str
    headers: Mapping[str, str]
    ready: str
    facts: str | Sequence[str] | None
    prepare: Sequence[str] | None
    reset: Sequence[str] | None
    restart: Sequence[str] | None
    start: Sequence[str] | None
    ready_timeout_s: float
    verify: ssl.SSLContext | bool
    proof_header: str
    proof_value: str
    working_dir: Path
    log_dir: Path


@dataclass(slots=True)
class ManagedTarget:
    """One environment; leaving the context stops the process that `start` began."""

    spec: TargetSpec
    allow_list: AllowList
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def can_restart(self) -> bool:
        """True when `rehearse` itself can give it a fresh process."""
        return self.spec.start is not None or self.spec.restart is not None

    def check_allowed(self) -> None:
        """Raise TargetRefused unless its host is on the allow-list, by name and after DNS."""
        self.allow_list.check_url(self.spec.url)
        host, port = host_and_port(self.spec.url)
        for address in system_resolve(host):
            self.allow_list.check_address(address, port)

    def bring_up(self) -> None:
        """Prepare it once, give it a fresh process where we can, and wait until it answers and proves to be staging."""
        self._command("prepare", self.spec.prepare)
        self.fresh_process()

    def fresh_process(self) -> None:
        """Reset its data and restart it, as configured; returns when it is ready."""
        self._command("reset", self.spec.reset)
        if self.spec.start is not None:
            self.stop()
            self._launch(self.spec.start)
        else:
            self._command("restart", self.spec.restart)
        self._wait_until_ready()

    def facts(self) -> TargetFacts:
        """What the target says of itself. Raises NotReady when it was asked to and does not."""
        source = self.spec.facts
        found: Mapping[str, str] = {}
        if isinstance(source, str):
            found = self._facts_from(self._get(source).content, source)
        elif source is not None:
            found = self._facts_from(self._command("facts", source).encode(), " ".join(source))
        return TargetFacts(self.spec.side, self.spec.name, self.spec.url, found)

    def stop(self) -> None:
        """End the process that `start` began, if any."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _label(self) -> str:
        return f"the {self.spec.side} target {self.spec.name!r} ({self.spec.url})"

    def _launch(self, argv: Sequence[str]) -> None:
        if self._answers_at_all():
            raise NotReady(
                f"{self._label}: something answers there already; stop it, or take `start` out of its table."
            )
        log = self._log("start")
        with log.open("ab") as output:
            try:
                self._process = subprocess.Popen(
                    list(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.spec.working_dir,
                    start_new_session=True,
                )
            except OSError as error:
                raise NotReady(f"{self._label}: start {argv[0]!r} failed: {error}") from error

    def _command(self, what: str, argv: Sequence[str] | None) -> str:
        """Run one configured command to its end; returns its stdout."""
        if argv is None:
            return ""
        try:
            done = subprocess.run(
                list(argv),
                cwd=self.spec.working_dir,
                capture_output=True,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotReady(f"{self._label}: {what} {argv[0]!r} failed: {error}") from error
        if done.returncode != 0:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise NotReady(
                f"{self._label}: {what} {argv[0]!r} ended with exit code {done.returncode}. {' '.join(last)}"
            )
        return done.stdout.decode(errors="replace")

    def _log(self, what: str) -> Path:
        self.spec.log_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.spec.log_dir / f"{self.spec.name}-{what}.log"

    def _wait_until_ready(self) -> None:
        """Any HTTP answer will do: whether it is a good one is for the rehearsal to judge."""
        patience_s = (
            self.spec.ready_timeout_s if self.can_restart else min(PROBE_TIMEOUT_S, self.spec.ready_timeout_s)
        )
        deadline = monotonic() + patience_s
        while True:
            try:
                response = self._get(self.spec.ready)
            except NotReady as error:
                if self._process is not None and self._process.poll() is not None:
                    raise NotReady(
                        f"{self._label}: its process ended at once. {self._last_words()}"
                    ) from error
                if monotonic() >= deadline:
                    raise
                sleep(POLL_S)
            else:
                self._prove_staging(response)
                return

    def _last_words(self) -> str:
        lines = self._log("start").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def _prove_staging(self, response: httpx.Response) -> None:
        """Off loopback a target must say itself that it is staging; a name in a file can be wrong."""
        if is_loopback(urlsplit(self.spec.url).hostname or ""):
            return
        said = response.headers.get(self.spec.proof_header)
        if said != self.spec.proof_value:
            wanted = f"{self.spec.proof_header}: {self.spec.proof_value}"
            given = "no such header" if said is None else f"{said[:100]!r}"
            raise TargetRefused(
                f"{self._label} does not prove that it is staging: {wanted!r} expected, {given} found."
            )

    def _answers_at_all(self) -> bool:
        try:
            self._get(self.spec.ready)
        except NotReady:
            return False
        return True

    def _get(self, path: str) -> httpx.Response:
        url = self.spec.url.rstrip("/") + path
        try:
            with self._client() as client:
                return client.get(url)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise NotReady(f"{self._label} does not answer at {path}: {reason}.") from error

    def _client(self) -> httpx.Client:
        return httpx.Client(
            headers=dict(self.spec.headers),
            timeout=PROBE_TIMEOUT_S,
            verify=self.spec.verify,
            trust_env=False,  # no proxy from the environment: it could lead elsewhere
            follow_redirects=False,
            event_hooks={"request": [lambda request: self.allow_list.check_url(str(request.url))]},
        )

    def _facts_from(self, content: bytes, source: str) -> Mapping[str, str]:
        if len(content) > MAX_FACTS_BYTES:
            raise NotReady(f"{self._label}: facts from {source!r} are larger than {MAX_FACTS_BYTES} bytes.")
        try:
            document = json.loads(content)
        except ValueError as error:
            raise NotReady(f"{self._label}: facts from {source!r} are not JSON: {content[:80]!r}.") from error
        if not isinstance(document, dict):
            raise NotReady(f"{self._label}: facts from {source!r} are not a JSON object.")
        return dict(sorted(_flat(document)))


def _flat(document: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """{"rows": {"orders": 5}} -> [("rows.orders", "5")]."""
    pairs = []
    for key, value in document.items():
        if isinstance(value, dict):
            pairs.extend(_flat(value, f"{prefix}{key}."))
        else:
            pairs.append((f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)))
    return pairs
