"""What was answered so far, one line for each rehearsal, for as long as the code that answered is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from bench.verdict.peers import Answer
from bench.verdict.rows import Row
from bench.verdict.tally import Tally
from rehearse.model import Decision

ROOT = Path(__file__).resolve().parents[2]
_DECIDES = ("rehearse/judge/*.py", "rehearse/histogram.py", "rehearse/model/*.py", "bench/verdict/*.py")
_ONLY_SHOWS = {"__main__", "answers", "live", "missing", "pictures", "tables", "tally"}


class Answers:
    """A file of answers; one that other code wrote is begun anew."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[tuple[str, int], Mapping[str, Answer]] = {}
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        code = fingerprint()
        if not lines or json.loads(lines[0]) != {"code": code}:
            file.write_text(json.dumps({"code": code}) + "\n", encoding="utf-8")
            return
        for line in map(json.loads, lines[1:]):
            answers = {rule: Answer(Decision(what), at_s) for rule, (what, at_s) in line["answers"].items()}
            self._known[line["row"], line["number"]] = answers

    def of(self, row: str, number: int) -> Mapping[str, Answer] | None:
        """What every rule said of this rehearsal; None when it was not held yet."""
        return self._known.get((row, number))

    def tallies(self, row: Row) -> dict[str, Tally]:
        """All that is known of a row, by rule."""
        found: dict[str, Tally] = {}
        for number in range(row.runs):
            for rule, answer in (self.of(row.name, number) or {}).items():
                found.setdefault(rule, Tally()).answers.append(answer)
        return found

    def keep(self, row: str, number: int, answers: Mapping[str, Answer]) -> None:
        """Write it down at once."""
        told = {rule: (answer.decision, answer.after_s) for rule, answer in answers.items()}
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"row": row, "number": number, "answers": told}) + "\n")


def fingerprint() -> str:
    """Of all code that has a say in an answer."""
    files = [
        file for pattern in _DECIDES for file in sorted(ROOT.glob(pattern)) if file.stem not in _ONLY_SHOWS
    ]
    return sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]
