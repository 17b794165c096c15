"""What an examination finds and proposes, and the lines in which it is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rehearse.report.visible import printable


class Grade(StrEnum):
    """What somebody has to do about what was found."""

    OK = "ok"
    NOTE = "note"  # worth knowing; a rehearsal is possible
    FIX = "fix"  # without that no rehearsal


@dataclass(frozen=True, slots=True)
class Examined:
    """One thing that was looked at."""

    subject: str  # "config", "store", "rig", "baseline", "candidate", "scenario"
    grade: Grade
    sentence: str
    remedy: str = ""  # what to do; empty where there is nothing to do

    @property
    def line(self) -> str:
        """As a terminal shows it."""
        grade = self.grade.upper() if self.grade is Grade.FIX else self.grade
        remedy = f" -> {printable(self.remedy)}" if self.remedy else ""
        return f"{grade:<5} {self.subject:<9} {printable(self.sentence)}{remedy}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A value of one setting, with the arithmetic that leads to it."""

    key: str  # "load.rate"
    value: str  # as the configuration has it: `50`, `"1ms"`
    now: str  # what is configured
    why: str

    @property
    def line(self) -> str:
        """As a terminal shows it."""
        if self.value == self.now:
            return f"keep {self.key} = {self.value}: {self.why}"
        return f"propose {self.key} = {self.value} (now {self.now}): {self.why}"


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was found, in the order in which it was looked at."""

    title: str
    examined: tuple[Examined, ...]
    proposals: tuple[Proposal, ...]  # empty when nothing could be measured
    is_ready: bool
    schema_version: int = 1

    @property
    def lines(self) -> list[str]:
        """All of it, one line each; the last one says whether a rehearsal can begin."""
        to_fix = sum(one.grade is Grade.FIX for one in self.examined)
        end = "ready: `rehearse compare` can begin" if self.is_ready else f"not ready: {to_fix} to fix"
        return [*(one.line for one in self.examined), *(one.line for one in self.proposals), end]
