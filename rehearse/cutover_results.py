"""A stored cutover, judged again, and as its report shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rehearse.cutover.exhibits import TERMS, cutover_evidence
from rehearse.errors import RehearseError
from rehearse.journal import evidence_of
from rehearse.judge.brackets import brackets_of
from rehearse.judge.cutover import judge_cutover
from rehearse.model import Result, RunKind, RunRecord, Verdict
from rehearse.report.assemble import assemble
from rehearse.report.cutover import cutover_result

if TYPE_CHECKING:
    from rehearse.store.records import Store


def judge_stored_cutover(store: Store, record: RunRecord) -> Verdict:
    """The verdict that its evidence gives; nothing is written."""
    exhibits = store.exhibits(record.run_id)
    blocks, finals = store.blocks(record.run_id), store.finals(record.run_id)
    return judge_cutover(evidence_of(record, blocks, finals, None, exhibits), cutover_evidence(exhibits))


def cutover_result_of(store: Store, record: RunRecord) -> Result:
    """The result of a cutover that has a verdict."""
    found, blocks = cutover_evidence(store.exhibits(record.run_id)), store.blocks(record.run_id)
    brackets = brackets_of(blocks, found)
    result = assemble(record, brackets.compared, record.verdict or Verdict(), brackets.reference)
    return replace(result, cutover=cutover_result(found, blocks))


def only_takes_back(store: Store, record: RunRecord) -> bool:
    """Whether a run was the way back of an earlier cutover, and nothing else: then it met no candidate. One that cannot
    be read is no reason to look past it."""
    if record.kind is not RunKind.CUTOVER:
        return False
    try:
        terms = cutover_evidence(store.exhibits(record.run_id, (TERMS,))).terms
    except RehearseError:
        return False
    return terms is not None and terms.is_undo_only
