"""What a run of checks is told, and what its child process tells back: plain data, one JSON document a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rehearse.checks.context import CheckContext, RecordedResponse
from rehearse.errors import ConfigError, nearest
from rehearse.model import CheckResult

OptionValue = bool | int | float | str | tuple[bool | int | float | str, ...]
PACKS_DIR = Path(__file__).parent / "packs"


def pack_file(name: str) -> Path:
    """Where a pack stands: functions in Python, or declared checks in TOML."""
    declared = PACKS_DIR / f"{name}.toml"
    return declared if declared.is_file() else PACKS_DIR / f"{name}.py"


def known_packs() -> list[str]:
    """The packs that come with this version."""
    files = (*PACKS_DIR.glob("*.py"), *PACKS_DIR.glob("*.toml"))
    return sorted(path.stem for path in files if not path.stem.startswith("_"))


def refuse_unknown_packs(names: Iterable[str], file: str) -> None:
    """Raise ConfigError for a name that no pack has."""
    known = known_packs()
    for name in names:
        if name not in known:
            raise ConfigError(f"{file}: checks.packs: there is no pack {name!r}. {nearest(name, known)}")


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """One run of checks. It may hold secrets: it travels by pipe."""

    context: CheckContext
    root: str  # the project's folder, where they run
    folder: str | None  # of the project's own checks
    packs: tuple[str, ...]
    today: str  # ISO 8601: what has expired
    budget_s: float = 600.0  # of all checks together
    options: Mapping[str, Mapping[str, OptionValue]] = field(default_factory=dict)
    recorded: tuple[RecordedResponse, ...] = ()
    only: tuple[str, ...] | None = None  # sources; None: all of them
    is_listing: bool = False  # collect, and run nothing
    log: str = ""  # what checks print goes here

    @property
    def paths(self) -> tuple[str, ...]:
        """What pytest collects."""
        own = () if self.folder is None else (self.folder,)
        return (*own, *(str(pack_file(name)) for name in self.packs))


@dataclass(frozen=True, slots=True)
class Collected:
    """Every check that was found, as it stands when it never comes to its end."""

    checks: tuple[CheckResult, ...]


@dataclass(frozen=True, slots=True)
class Began:
    """One check begins; its deadline runs from here."""

    source: str


@dataclass(frozen=True, slots=True)
class Finished:
    """One check came to its end."""

    result: CheckResult


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is no check's own result: what could not be collected, a crash."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The child came to its end by itself; its exit code is pytest's."""

    exit_code: int


CheckMessage = Collected | Began | Finished | Trouble | Ended
MESSAGES: dict[str, type[CheckMessage]] = {
    kind.__name__: kind for kind in (Collected, Began, Finished, Trouble, Ended)
}
