"""From options to answers: what they leave open is asked, or assumed and said where nobody is there to ask."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rehearse.databases import is_database, shown_url
from rehearse.errors import ConfigError
from rehearse.project.answers import BASELINE_URL, CANDIDATE_URL, Answers, Writing, read_url, told, writing_in

Ask = Callable[[str, str], str]  # a question and its default; the answer
YES, NO = ("y", "yes"), ("n", "no")
IN_PLACE = "recorded mode: one moment against another, so it takes wider margins than two side by side"


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
        candidate = self._candidate(given, baseline)
        writes = self._writes(given.writes, sends, is_database(baseline))
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
        if given is None:
            self._assume(f"{option} {default}")
        return read_url(given or self._asked(question, default), option)

    def _candidate(self, given: Given, baseline: str) -> str | None:
        """None when the upgrade takes the baseline's place. Raises ConfigError."""
        said = given.candidate
        if said is None and given.baseline is not None:
            said = self._asked(
                "Where is the upgrade? Nothing when it takes the place of the known-good version", ""
            )
            if not said:
                self._assume(f"no --candidate: one environment, upgraded where it stands ({IN_PLACE})")
                return None
        candidate = self._url(said, "--candidate", "Where is the upgrade?", CANDIDATE_URL)
        if baseline == candidate:
            raise ConfigError(
                f"--candidate {shown_url(candidate)}: that is the baseline. Name another address, or leave --candidate"
                " out when the upgrade takes its place there."
            )
        if is_database(baseline) != is_database(candidate):
            raise ConfigError("--candidate: one side is a database and the other is not: nothing to compare.")
        return candidate

    def _writes(self, given: bool | None, sends: Sequence[Writing], are_databases: bool) -> bool:
        """Denied unless somebody says otherwise: nobody knows what a request does to the world but its owners."""
        if given is not None:
            return given
        if self.ask is None:
            seen = (
                f", although the Locust file has {told(sends)}: a rehearsal would end there" if sends else ""
            )
            what = "statements may not write" if are_databases else "only GET, HEAD and OPTIONS may be sent"
            self._assume(f"--reads-only: {what}{seen}")
            return False
        seen = f" The Locust file has {told(sends)}." if sends else ""
        while True:
            what = "statements change data" if are_databases else "requests change data (POST and the like)"
            question = f"May {what}, wherever load is sent, thousands of times?{seen} y or n"
            said = self.ask(question, "n").strip().lower()
            if said in (*YES, *NO):
                return said in YES

    def _exclude_tags(self, given: tuple[str, ...] | None, writes: bool) -> tuple[str, ...]:
        if given is not None or not writes:
            return given or ()
        question = "Which tasks must never run (payments, e-mails)? Their @tags; nothing for none"
        return tuple(self._asked(question, "").replace(",", " ").split())

    def _reset(self, given: str | None, writes: bool) -> tuple[str, ...]:
        if given is None and writes:
            self._assume("no --reset: what requests write stays there")
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

    def _assume(self, what: str) -> None:
        """Where somebody is there, it is asked instead."""
        if self.ask is None:
            self.assumed.append(what)

    def _asked(self, question: str, default: str) -> str:
        return default if self.ask is None else self.ask(question, default).strip() or default


def _path(given: str) -> str:
    if not given.startswith("/"):
        raise ConfigError(f"--ready {given!r}: is no path; write it like /health")
    return given
