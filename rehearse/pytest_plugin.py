"""What makes pytest functions in the checks folder checks: the marker, and the fixtures that reach both sides.

pytest loads this in every project where `rehearse` is installed, so nothing heavy is imported before a check is
collected. Inside `rehearse` the child process brings its order; plain `pytest checks/` reads rehearse.toml instead.
"""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rehearse.checks.session import MISTAKES, ORDER, PLANNED, REACH

if TYPE_CHECKING:
    from collections.abc import Callable

    from rehearse.checks.context import CheckedSide
    from rehearse.checks.orders import CheckOrder

_FOLDER = pytest.StashKey[Path | None]()
_PACKS = Path(__file__).parent / "checks" / "packs"
_FIXTURES = "rehearse.checks.fixtures"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which side plain pytest asks."""
    group = parser.getgroup("rehearse")
    group.addoption(
        "--under-test",
        choices=("baseline", "candidate"),
        default="candidate",
        help="the side that checks ask (rehearse)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker is known, also with --strict-markers."""
    config.addinivalue_line(
        "markers",
        "breakage(id, broke_on, component, severity, ref, expires, story): what broke once (rehearse)",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """The fixtures come with the first check; they are nobody else's business. TOML files hold declared checks."""
    if not is_check_file(parent.config, file_path):
        return None
    manager = parent.config.pluginmanager
    if not manager.has_plugin(_FIXTURES):
        from rehearse.checks import fixtures

        parent.config.stash.setdefault(REACH, lambda: _as_configured(parent.config))
        manager.register(fixtures, _FIXTURES)
    if file_path.suffix != ".toml":
        return None
    from rehearse.checks.declared import DeclaredFile

    found: DeclaredFile = DeclaredFile.from_parent(parent, path=file_path)
    return found


def _as_configured(config: pytest.Config) -> tuple[CheckOrder, Callable[[CheckedSide], CheckedSide]]:
    """Plain pytest: what rehearse.toml says."""
    from rehearse import checking

    return checking.of_plain_pytest(_configuration(config), str(config.getoption("--under-test")))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every check has a name of its own, or nothing runs."""
    checks = [item for item in items if is_check_file(config, item.path)]
    if not checks:
        return
    from rehearse.checks.collecting import planned_checks

    order = config.stash.get(ORDER, None)
    planned, mistakes = planned_checks(checks, today_of(order))
    config.stash[PLANNED], config.stash[MISTAKES] = planned, mistakes
    if order is None and mistakes:
        raise pytest.UsageError("\n".join(mistakes))
    if order is not None:
        wanted = {node for node, check in planned.items() if order.only is None or check.source in order.only}
        items[:] = [item for item in items if item.nodeid in wanted]


def today_of(order: CheckOrder | None) -> date:
    """The day that dates are held against."""
    return datetime.now(UTC).date() if order is None else date.fromisoformat(order.today)


def is_check_file(config: pytest.Config, path: Path) -> bool:
    """Whether a file lies in the checks folder, or is a pack."""
    folder = _folder(config)
    return path.parent == _PACKS or (folder is not None and path.is_relative_to(folder))


def _folder(config: pytest.Config) -> Path | None:
    if _FOLDER not in config.stash:
        order = config.stash.get(ORDER, None)
        if order is not None:
            config.stash[_FOLDER] = None if order.folder is None else Path(order.folder)
        else:
            config.stash[_FOLDER] = _folder_of_project(config)
    return config.stash[_FOLDER]


def _folder_of_project(config: pytest.Config) -> Path | None:
    """As the configuration has it; the rest of that file is read when a fixture is asked for."""
    file = _configuration(config)
    if file is None:
        return None
    table = _tables(file).get("checks", {})
    given = table.get("dir", "checks") if isinstance(table, dict) else "checks"
    return file.parent / str(given)


def _configuration(config: pytest.Config) -> Path | None:
    """The file with the settings of plain pytest: where it was started, or in its root."""
    for folder in (config.invocation_params.dir, config.rootpath):
        for name in ("rehearse.toml", "pyproject.toml"):
            if (folder / name).is_file() and _tables(folder / name):
                return folder / name
    return None


def _tables(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # whoever needs the file says what is wrong with it
        return {}
    if file.name == "rehearse.toml":
        return values or {"checks": {}}
    found = values.get("tool", {}).get("rehearse", {})
    return found if isinstance(found, dict) else {}
