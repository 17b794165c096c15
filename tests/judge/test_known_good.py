"""What may be named a baseline: the load of a recording is held to what that of a comparison is held to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.judge.verdict import baseline_findings
from rehearse.model import Block, Evidence, Mode, ReasonCode, Side
from tests.judge.evidence import good, with_blocks


def recording_with(rig_trouble: Side, **arrivals: float) -> Evidence:
    """A good A/A recording, of which one side's arrivals are `arrivals`, as parts of the planned ones."""

    def changed(block: Block) -> Block:
        planned = block.arrivals.planned
        counts = {name: round(part * planned) for name, part in arrivals.items()}
        return replace(block, arrivals=replace(block.arrivals, **counts))

    evidence = replace(good(), reference=None)
    return with_blocks(
        evidence, [changed(block) if block.side is rig_trouble else block for block in evidence.blocks]
    )


@pytest.mark.parametrize("side", list(Side))
def test_a_recording_whose_arrivals_were_not_sent_cannot_be_a_baseline(side: Side) -> None:
    (finding,) = baseline_findings(recording_with(side, planned=1.05, unsent=0.05))
    assert finding.code == ReasonCode.LOAD_MISMATCH
    assert f"planned arrivals were sent to the {side}" in finding.sentence


@pytest.mark.parametrize("side", list(Side))
def test_a_recording_in_which_every_user_was_busy_cannot_be_a_baseline(side: Side) -> None:
    assert baseline_findings(recording_with(side, concurrency_limited=0.04)) == ()
    (finding,) = baseline_findings(recording_with(side, concurrency_limited=0.06))
    assert finding.code == ReasonCode.LOAD_MISMATCH
    assert f"the {side} was refused as open model" in finding.sentence


def test_a_recording_of_the_baseline_alone_is_held_to_the_same() -> None:
    starved = recording_with(Side.BASELINE, planned=1.05, unsent=0.05)
    alone = with_blocks(starved, [block for block in starved.blocks if block.side is Side.BASELINE])
    (finding,) = baseline_findings(replace(alone, mode=Mode.RECORDED))
    assert finding.code == ReasonCode.LOAD_MISMATCH


def test_a_recording_without_one_of_its_scenarios_cannot_be_a_baseline() -> None:
    assert baseline_findings(replace(good(), scenarios=("shop",))) == ()
    findings = baseline_findings(replace(good(), scenarios=("shop", "checkout")))
    assert [(finding.code, finding.subject) for finding in findings] == [
        (ReasonCode.NO_EVIDENCE, "checkout")
    ] * 2
