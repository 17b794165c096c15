"""What was found, in lines for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rehearse.errors import ExitCode
from rehearse.migrations.linting import Linted, UnsafeMigration, endangering
from rehearse.migrations.rules import Danger


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """The outcome of `rehearse migrations`."""

    linted: tuple[Linted, ...]

    @property
    def exit_code(self) -> ExitCode:
        """ABORT for what is unsafe, INCONCLUSIVE for what is not known; GO only when all was looked at."""
        if any(one.unsafe for one in self.linted):
            return ExitCode.ABORT
        is_known = bool(self.linted) and not any(one.trouble for one in self.linted)
        return ExitCode.GO if is_known else ExitCode.INCONCLUSIVE


def finding_line(one: UnsafeMigration) -> str:
    """ "orders.0002_x: RENAMING columns [RENAME_COLUMN]; never rename: ..."."""
    return f"{one.place}: {one.said.rstrip('.')} [{one.rule}]; {one.advice}"


def report_lines(report: MigrationReport) -> list[str]:
    """Findings by the part of the upgrade that they endanger; one that endangers two stands twice."""
    lines: list[str] = []
    for danger in Danger:
        lines += _about(danger, endangering(report.linted, danger))
    for one in report.linted:
        lines += _about_tool(one)
    return lines


def _about(danger: Danger, found: Sequence[UnsafeMigration]) -> list[str]:
    if not found:
        return []
    return [f"endangers {danger}:", *(f"  {line}" for one in found for line in _lines_of(one))]


def _lines_of(one: UnsafeMigration) -> Iterable[str]:
    yield f"{one.place}: {one.said} [{one.rule}]"
    yield f"    {one.advice}"


def _about_tool(one: Linted) -> list[str]:
    if one.trouble:
        return [f"not known: {one.trouble}"]
    lines = [f"{one.tool}: {_some(one.migrations, 'migration')}, {_some(len(one.unsafe), 'finding')}"]
    return [*lines, f"  told to ignore: {', '.join(one.skipped)}"] if one.skipped else lines


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
