"""The environments under rehearsal: brought up, asked whether they are ready, staging, and what they run.

Everything here happens before load, over guarded connections: a target that cannot be shown to be allowed, ready and
staging gets no load at all. Each command runs in a process group of its own, so that it ends with all its children.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import IO, Self

from rehearse.allowlist import AllowList
from rehearse.databases import is_database, shown_url
from rehearse.errors import NotReady, TargetRefused
from rehearse.inquiry import INQUIRY_TIMEOUT_S, HttpInquiry, Inquiry, Look, database_inquiry
from rehearse.logs import ChildLog
from rehearse.model import DataState, Moment, Side, TargetFacts
from rehearse.process_groups import begin_group, end_group, exit_code_of
from rehearse.redaction import Clean, cut

COMMAND_TIMEOUT_S = 600.0
POLL_S = 0.1
MAX_FACTS_BYTES = 1_000_000
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """One target as configured; argv lists run without a shell in `working_dir`."""

    side: Side
    name: str
    url: str
    headers: Mapping[str, str]
    ready: str
    facts: str | Sequence[str] | None
    state: str | Sequence[str] | None
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
    clean: Clean = str  # what its commands say goes through this
    proxy: str | None = field(default=None, repr=False)

    @property
    def shown_url(self) -> str:
        """Its URL as messages and reports have it."""
        return shown_url(self.url)

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"the {self.side} target {self.name!r} ({self.shown_url})"


def inquiry_of(spec: TargetSpec, allow_list: AllowList) -> Inquiry:
    """Who asks this target: its URL says what it is."""
    if is_database(spec.url):
        return database_inquiry(spec.label, spec.url, allow_list)
    return HttpInquiry(
        spec.label, spec.url, spec.ready, spec.headers, spec.verify, spec.proof_header, allow_list, spec.proxy
    )


@dataclass(slots=True)
class ManagedTarget:
    """One environment; leaving the context stops the process that `start` began, and that one's children."""

    spec: TargetSpec
    allow_list: AllowList
    _inquiry: Inquiry = field(init=False, repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _words: ChildLog | None = field(default=None, init=False)  # of `_process`

    def __post_init__(self) -> None:
        self._inquiry = inquiry_of(self.spec, self.allow_list)

    @property
    def can_restart(self) -> bool:
        """True when `rehearse` itself can give it a fresh process."""
        return self.spec.start is not None or self.spec.restart is not None

    @property
    def process_id(self) -> int | None:
        """Of what `start` began, while it runs."""
        return self._process.pid if self._process is not None else None

    def check_allowed(self) -> None:
        """Raise TargetRefused unless its host is on the allow-list, by name and after DNS."""
        self._inquiry.check_allowed()

    def bring_up(self) -> None:
        """Prepare it once, give it a fresh process where we can, and wait until it answers and proves to be staging."""
        self._prove_before_commands()
        self._command("prepare", self.spec.prepare)
        self.fresh_process()

    def fresh_process(self, under: Sequence[str] = ()) -> None:
        """Reset its data and restart it, as configured; returns when it is ready. `under` stands before its `start`."""
        self._command("reset", self.spec.reset)
        if self.spec.start is not None:
            self.stop()
            self._launch([*under, *self.spec.start])
        else:
            self._command("restart", self.spec.restart)
        self._wait_until_ready()

    def answers(self) -> bool:
        """Whether it answers at all, at this moment."""
        try:
            self._inquiry.ask()
        except NotReady:
            return False
        return True

    def prove(self) -> None:
        """Raise NotReady unless it answers now, and TargetRefused unless it proves to be staging."""
        self._prove_staging(self._inquiry.ask())

    def look(self) -> Look | None:
        """What it answers when it is asked whether it is ready. Raises NotReady."""
        return self._inquiry.look()

    def facts(self) -> TargetFacts:
        """What the target says of itself. Raises NotReady when it was asked to and does not."""
        source = self.spec.facts
        found = self._inquiry.own_facts()
        if isinstance(source, str):
            found = {**found, **self._facts_from(self._inquiry.document(source), source)}
        elif source is not None:
            found = {**found, **self._facts_from(self._said_by("facts", source), " ".join(source))}
        return TargetFacts(self.spec.side, self.spec.name, self.spec.shown_url, found)

    def data_state(self, moment: Moment) -> DataState | None:
        """What data it says that it has; None when nobody asks. Raises NotReady when it does not say it."""
        source = self.spec.state
        if source is None:
            return None
        shown = source if isinstance(source, str) else " ".join(source)
        said = self._inquiry.document(source) if isinstance(source, str) else self._said_by("state", source)
        found = self._object_from(said, "state", shown)
        rows, data_set = found.get("rows", {}), found.get("data_set", "")
        if not isinstance(rows, dict) or not all(
            type(count) is int and count >= 0 for count in rows.values()
        ):
            raise NotReady(
                f"{self._label}: state from {shown!r} has `rows` that are no counts: {cut(repr(rows), 80)}."
            )
        if not rows and not data_set:
            raise NotReady(f"{self._label}: state from {shown!r} has neither `data_set` nor `rows`.")
        clean = self.spec.clean
        return DataState(
            self.spec.side,
            moment,
            cut(clean(str(data_set)), MAX_NAME),
            {cut(clean(name), MAX_NAME): count for name, count in rows.items()},
        )

    def answer(self, path: str) -> tuple[int, bytes] | None:
        """Status and body of one GET with the target's headers; None when there was no answer."""
        return self._inquiry.answer(path)

    def stop(self) -> None:
        """End what `start` began, if anything: the process and its children, also when only they are left."""
        process, self._process = self._process, None
        words, self._words = self._words, None
        try:
            if process is not None:
                end_group(process)
        finally:
            if words is not None:
                words.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _label(self) -> str:
        return self.spec.label

    def _launch(self, argv: Sequence[str]) -> None:
        if self.answers():
            raise NotReady(
                f"{self._label}: something answers there already; stop it, or take `start` out of its table."
            )
        self._words = self._log("start")
        self._process = self._begin("start", argv, stdout=self._words.file, stderr=self._words.file)

    def _command(self, what: str, argv: Sequence[str] | None, stdout: IO[bytes] | None = None) -> None:
        """Run one configured command to its end. What it says goes to its log; `stdout` takes that part of it."""
        if argv is None:
            return
        with self._log(what) as log:
            process = self._begin(what, argv, stdout=stdout or log.file, stderr=log.file)
            code = exit_code_of(process, COMMAND_TIMEOUT_S)
        if code != 0:
            how = f"ended with exit code {code}" if code is not None else f"took over {COMMAND_TIMEOUT_S:g} s"
            raise NotReady(f"{self._label}: {what} {argv[0]!r} {how}. {_last_words(log)}")

    def _said_by(self, what: str, argv: Sequence[str]) -> bytes:
        """The stdout of a command, cut off beyond what facts may have."""
        with tempfile.TemporaryFile() as stdout:
            self._command(what, argv, stdout)
            stdout.seek(0)
            return stdout.read(MAX_FACTS_BYTES + 1)

    def _begin(
        self, what: str, argv: Sequence[str], stdout: IO[bytes], stderr: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        try:
            return begin_group(argv, self.spec.working_dir, subprocess.DEVNULL, stdout, stderr)
        except OSError as error:
            raise NotReady(f"{self._label}: {what} {argv[0]!r} failed: {error}") from error

    def _log(self, what: str) -> ChildLog:
        return ChildLog(self.spec.log_dir / f"{self.spec.name}-{what}.log", self.spec.clean)

    def _wait_until_ready(self) -> None:
        patience_s = (
            self.spec.ready_timeout_s
            if self.can_restart
            else min(INQUIRY_TIMEOUT_S, self.spec.ready_timeout_s)
        )
        deadline = monotonic() + patience_s
        while True:
            try:
                said = self._inquiry.ask()
            except NotReady as error:
                words = self._words
                if words is not None and self._process is not None and self._process.poll() is not None:
                    self.stop()
                    raise NotReady(
                        f"{self._label}: its process ended at once. {_last_words(words)}"
                    ) from error
                if monotonic() >= deadline:
                    raise
                sleep(POLL_S)
            else:
                self._prove_staging(said)
                return

    def _prove_before_commands(self) -> None:
        """Off loopback, what is not ours to start proves to be staging before a command touches its data.

        While it does not answer it cannot; then its `restart`, and no other command, may bring it up first.
        """
        if self.spec.start is not None or self._inquiry.is_on_loopback:
            return
        if self.spec.restart is not None and not self.answers():
            self._command("restart", self.spec.restart)
        self._wait_until_ready()

    def _prove_staging(self, said: str | None) -> None:
        """Off loopback a target must say itself that it is staging; a name in a file can be wrong."""
        if self._inquiry.is_on_loopback:
            return
        if said != self.spec.proof_value:
            where, missing = self._inquiry.proof
            wanted = f"{where}{self.spec.proof_value}"
            given = missing if said is None else cut(repr(said), 100)
            raise TargetRefused(
                f"{self._label} does not prove that it is staging: {wanted!r} expected, {given} found."
            )

    def _facts_from(self, content: bytes, source: str) -> Mapping[str, str]:
        document = self._object_from(content, "facts", source)
        try:
            return flat_facts(document)
        except RecursionError:
            raise NotReady(f"{self._label}: facts from {source!r} are nested too deeply.") from None

    def _object_from(self, content: bytes, what: str, source: str) -> Mapping[str, object]:
        said = f"{self._label}: {what} from {source!r}"
        if len(content) > MAX_FACTS_BYTES:
            raise NotReady(f"{said} are larger than {MAX_FACTS_BYTES} bytes.")
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise NotReady(f"{said} are not JSON: {cut(repr(content), 80)}.") from error
        if not isinstance(document, dict):
            raise NotReady(f"{said} are not a JSON object.")
        return document


def _last_words(log: ChildLog) -> str:
    """The last line that was said, and where the rest is."""
    return (
        f"{log.last_line[:300]} (all of it: {log.path})"
        if log.last_line
        else f"It wrote nothing to {log.path}."
    )


def flat_facts(document: Mapping[str, object]) -> Mapping[str, str]:
    """What a JSON object says, by the path of each value, in their order."""
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
