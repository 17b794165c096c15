"""What the benchmark keeps, counts, prints and draws."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree  # our own SVG

import numpy as np
import pytest

from bench.verdict import answers, live
from bench.verdict.answers import Answers
from bench.verdict.peers import Answer
from bench.verdict.pictures import operating_curve, time_to_abort
from bench.verdict.rows import Row, Target, all_rows
from bench.verdict.tables import as_json, missing_table, tables
from bench.verdict.tally import Tally
from rehearse.model import Decision

GO, ABORT, OPEN = Decision.GO, Decision.ABORT, Decision.INCONCLUSIVE


def tally(*decisions: Decision) -> Tally:
    return Tally([Answer(decision, 44.0 + 10 * number) for number, decision in enumerate(decisions)])


def row(name: str, *targets: Target) -> Row:
    return Row(name, f"the truth of {name}", targets, 4, lambda _: {})


@pytest.mark.parametrize(
    ("target", "is_met"),
    [
        (Target(ABORT, at_most=0.5), True),
        (Target(ABORT, at_most=0.4), False),
        (Target(ABORT, at_least=0.5, median_at_most_s=49.0), True),
        (Target(ABORT, at_least=0.5, median_at_most_s=48.0), False),
        (Target(ABORT, at_most=0.5, upper_at_most=0.8), False),  # 2 of 4 says little
        (Target(GO, at_most=0.0), False),
    ],
)
def test_a_target_is_met_by_share_interval_and_time(target: Target, is_met: bool) -> None:
    assert tally(ABORT, ABORT, GO, OPEN).meets(target) is is_met


def test_a_table_has_every_decision_and_says_what_is_not_met() -> None:
    few = Target(ABORT, upper_at_most=0.02, at_most=0.01)
    rows = [row("same/usual", Target(GO, at_least=0.9)), row("same/other", few)]
    found = {
        "same/usual": {"rehearse": tally(GO, GO, OPEN, ABORT), "k6": tally(ABORT, ABORT, ABORT, GO)},
        "same/other": {"rehearse": tally(GO)},
    }
    text = tables(rows, found)
    assert (
        "| the truth of same/usual | 4 | 50.0 % (15.0-85.0) | 25.0 % (4.6-69.9) | 25.0 % (4.6-69.9) |" in text
    )
    assert "GO >= 90 %: NOT MET" in text  # 2 of 4: at most 85 %
    assert "ABORT <= 1 %, upper <= 2 %: not shown" in text  # none of 1: anything is possible
    assert "| the truth of same/usual | 25.0 / 50.0 | 75.0 / 25.0 |" in text
    assert as_json(rows, found)[0]["targets"] == {"GO >= 90 %": False}
    json.dumps(as_json(rows, found), allow_nan=False)


def test_the_table_of_missing_evidence_counts_every_go() -> None:
    text = missing_table(
        {"no data": {"rehearse": [OPEN, GO], "k6": [GO, GO]}, "cut short": {"rehearse": [OPEN]}}
    )
    assert "| no data | GO INCONCLUSIVE | GO |" in text
    assert "GO from rehearse: 1 of 3" in text


def test_the_pictures_are_well_formed_and_name_every_line() -> None:
    curve = {change: {"rehearse": tally(GO, ABORT), "k6": tally(ABORT)} for change in (0.0, 0.1, 0.2)}
    for text in (operating_curve(curve, "rehearse"), time_to_abort({"+20 %": tally(ABORT, GO)}, 300.0)):
        ElementTree.fromstring(text)  # noqa: S314  # our own SVG
        assert "prefers-color-scheme: dark" in text
        assert "nan" not in text
    assert "k6: ABORT" in operating_curve(curve, "rehearse")


def test_answers_are_kept_until_other_code_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "answers.jsonl"
    Answers(file).keep("same/usual", 3, {"rehearse": Answer(ABORT, 44.0)})
    assert Answers(file).of("same/usual", 3) == {"rehearse": Answer(ABORT, 44.0)}
    assert Answers(file).of("same/usual", 4) is None
    monkeypatch.setattr(answers, "fingerprint", lambda: "another judge")
    assert Answers(file).of("same/usual", 3) is None


def test_live_rehearsals_go_on_where_they_stopped(tmp_path: Path) -> None:
    file = tmp_path / "live.jsonl"
    assert live.rows_in(file) == ()
    done = {"kind": "same", "decision": "GO", "load_s": 56.0, "took_s": 70.0, "reasons": ["fine"]}
    file.write_text(json.dumps(done) + "\n", encoding="utf-8")
    to_do = live.still_to_do(4, live.rows_in(file))
    assert {kind: to_do.count(kind) for kind in live.KINDS} == {"same": 3, "broken": 2, "repaired": 2}
    assert set(to_do[:3]) == set(live.KINDS)  # some of each, should it be interrupted
    assert live.still_to_do(0, live.rows_in(file)) == []


def test_a_row_gives_the_same_answers_from_the_same_seed() -> None:
    (guard,) = [one for one in all_rows() if one.name == "guard/10-percent"]
    first, again = (guard.answer(np.random.default_rng([1, 2])) for _ in range(2))
    assert first == again
    assert first["rehearse"].decision is ABORT
