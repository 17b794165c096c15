"""From options to answers: what they leave open is asked, or assumed and said where nobody is there to ask."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rehearse.errors import ConfigError
from rehearse.project.answers import BASELINE_URL, CANDIDATE_URL, Answers, Writing, read_url, told, writing_in

Ask = Callable[[str, str], str]  # a question and its default; the answer
YES, NO = ("y", "yes"), ("n", "no")


@dataclass(frozen=True, slots=True)
class Given:
    """What options said; None where they said nothing."""

    baseline: str | None = None
    candidate: str | None = None
    locust_file: Path | None = None
    ready: str = "/"
    writes: bool | None = None
    exclude_tags: tuple[str, ...] | None = None
    reset: str | None = None
    production: tuple[str, ...] | None = None


@dataclass(slots=True)
class Interview:
    """One conversation. `ask` is None where nobody is there; `assumed` says then what was taken instead."""

    ask: Ask | None
    assumed: list[str] = field(default_factory=list)

    def answers(self, given: Given) -> Answers:
        """Everything that a project needs to know. Raises ConfigError for what it cannot be."""
        sends = () if given.locust_file is None else writing_in(given.locust_file)
        baseline = self._url(given.baseline, "--baseline", "Where is the known-good version?", BASELINE_URL)
        candidate = self._url(given.candidate, "--candidate", "Where is the upgrade?", CANDIDATE_URL)
        if baseline == candidate:
            raise ConfigError(
                f"--candidate {candidate}: that is the baseline; one of the two needs another address."
            )
        writes = self._writes(given.writes, sends)
        return Answers(
            baseline,
            candidate,
            _path(given.ready),
            given.locust_file,
            writes,
            self._exclude_tags(given.exclude_tags, writes),
            self._reset(given.reset, writes),
            self._production(given.production),
        )

    def _url(self, given: str | None, option: str, question: str, default: str) -> str:
        if given is None and self.ask is None:
            self.assumed.append(f"{option} {default}")
        return read_url(given or self._asked(question, default), option)

    def _writes(self, given: bool | None, sends: Sequence[Writing]) -> bool:
        """Denied unless somebody says otherwise: nobody knows what a request does to the world but its owners."""
        if given is not None:
            return given
        if self.ask is None:
            seen = (
                f", although the Locust file has {told(sends)}: a rehearsal would end there" if sends else ""
            )
            self.assumed.append(f"--reads-only: only GET, HEAD and OPTIONS may be sent{seen}")
            return False
        seen = f" The Locust file has {told(sends)}." if sends else ""
        while True:
            question = f"May requests change data (POST and the like), on both sides, thousands of times?{seen} y or n"
            said = self.ask(question, "n").strip().lower()
            if said in (*YES, *NO):
                return said in YES

    def _exclude_tags(self, given: tuple[str, ...] | None, writes: bool) -> tuple[str, ...]:
        if given is not None or not writes:
            return given or ()
        question = "Which tasks must never run (payments, e-mails)? Their @tags; nothing for none"
        return tuple(self._asked(question, "").replace(",", " ").split())

    def _reset(self, given: str | None, writes: bool) -> tuple[str, ...]:
        if given is None and writes and self.ask is None:
            self.assumed.append("no --reset: what requests write stays there")
        if given is None and writes:
            given = self._asked("Which command puts the data back before each round? Nothing for none", "")
        try:
            return tuple(shlex.split(given or ""))
        except ValueError as error:
            raise ConfigError(f"--reset {given!r}: is no command: {error}.") from None

    def _production(self, given: tuple[str, ...] | None) -> tuple[str, ...]:
        if given is None:
            question = "Which hosts are production, never to be loaded (*.example.com)? Nothing for none"
            given = tuple(self._asked(question, "").replace(",", " ").split())
        return given

    def _asked(self, question: str, default: str) -> str:
        return default if self.ask is None else self.ask(question, default).strip() or default


def _path(given: str) -> str:
    if not given.startswith("/"):
        raise ConfigError(f"--ready {given!r}: is no path; write it like /health")
    return given
