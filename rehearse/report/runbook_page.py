"""The exit plan as a page of its own; apart from its text, which every start needs and which loads no templates."""

from __future__ import annotations

from rehearse.exit_plan import ExitPlan
from rehearse.report.html import page_of_template
from rehearse.report.runbook import NO_WAY_BACK, before, decision_point, deed, lasting, watched, way_back


def runbook_html(plan: ExitPlan, title: str) -> str:
    """The plan as one self-contained page, to print or to keep open."""
    return page_of_template(
        "runbook.html",
        plan=plan,
        title=title,
        decision=decision_point(plan),
        watched=watched(plan),
        before=before(plan),
        undos=way_back(plan.steps),
        deed=deed,
        lasting=lasting,
        no_way_back=NO_WAY_BACK,
    )
