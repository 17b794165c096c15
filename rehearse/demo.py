"""The demonstration: the sample shop's broken upgrade ends in ABORT, the repaired one in GO, under real load."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tomllib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

from rehearse import rehearsal
from rehearse.config import Settings, load_settings
from rehearse.errors import ConfigError, ExitCode
from rehearse.model import Decision
from rehearse.report.terminal import summary_lines

KNOWN_GOOD, BROKEN, REPAIRED = "1.0", "2.0", "2.1"


def run(
    root: Path, parts: rehearsal.Parts, say: Callable[[str], None], keep: bool = False, full: bool = False
) -> ExitCode:
    """Baseline on both sides, then compare 2.0 and 2.1 with it; `full` adds the edge cases of demo-full.toml.

    GO when 2.0 is ABORT and 2.1 is not; a noisy machine may leave 2.1 INCONCLUSIVE, which the output says.
    """
    if not (root / "rehearse.toml").exists() or not (root / "scenarios" / "shop.py").exists():
        raise ConfigError(
            "rehearse demo: run it in a clone of the repository; it rehearses the sample shop there."
        )
    ports = free_ports(2)
    more = full_cases(root) if full else {}
    say("the known-good shop 1.0 on both sides: a baseline, and how noisy this machine is")
    rehearsal.baseline(shop_settings(root, KNOWN_GOOD, ports, more), parts, None, "rehearse demo")
    decisions = {}
    for version, what in ((BROKEN, "an upgrade with breaks"), (REPAIRED, "the repaired upgrade")):
        say("")
        say(f"the upgrade 1.0 -> {version}: {what}")
        comparison = compare_with(root, version, ports, parts, more)
        decisions[version] = comparison.result.verdict.decision
        html = next(str(path) for path in comparison.reports if path.suffix == ".html")
        for line in summary_lines(comparison.result, os.path.relpath(html)):
            say(line)
        if comparison.interrupted is not None:
            return comparison.interrupted.exit_code
    if not keep:
        shutil.rmtree(root / ".rehearse" / "shop", ignore_errors=True)
    as_expected = decisions[BROKEN] is Decision.ABORT and decisions[REPAIRED] is not Decision.ABORT
    return ExitCode.GO if as_expected else ExitCode.INTERNAL_ERROR


def compare_with(
    root: Path,
    version: str,
    ports: tuple[int, ...],
    parts: rehearsal.Parts,
    overrides: Mapping[str, object] = MappingProxyType({}),
) -> rehearsal.Comparison:
    """One comparison of the shop's `version` with the stored baseline."""
    settings = shop_settings(root, version, ports, overrides)
    return rehearsal.compare(settings, parts, rehearsal.CompareOptions(command="rehearse demo"))


def shop_settings(
    root: Path,
    candidate: str,
    ports: tuple[int, ...],
    overrides: Mapping[str, object] = MappingProxyType({}),
) -> Settings:
    """The repository's own rehearse.toml, with the candidate's version and free ports filled in."""
    environment: Mapping[str, str] = {
        **os.environ,
        "SHOP_PYTHON": _own_python(root),
        "SHOP_CANDIDATE_VERSION": candidate,
        "SHOP_BASELINE_PORT": str(ports[0]),
        "SHOP_CANDIDATE_PORT": str(ports[1]),
        "SHOP_BASELINE_URL": f"http://127.0.0.1:{ports[0]}",
        "SHOP_CANDIDATE_URL": f"http://127.0.0.1:{ports[1]}",
    }
    return load_settings(root / "rehearse.toml", environment, overrides)


def full_cases(root: Path) -> Mapping[str, list[dict[str, object]]]:
    """The edge cases of rehearse.toml and those of demo-full.toml, as overrides by family."""
    known, more = (
        tomllib.loads((root / name).read_text(encoding="utf-8"))["edges"]
        for name in ("rehearse.toml", "demo-full.toml")
    )
    return {f"edges.{family}": [*known.get(family, ()), *cases] for family, cases in more.items()}


def _own_python(root: Path) -> str:
    """The interpreter that runs us, relative where it can be: the path is part of the report."""
    python = Path(sys.executable)
    return str(python.relative_to(root)) if python.is_relative_to(root) else str(python)


def free_ports(count: int) -> tuple[int, ...]:
    """Loopback ports that nobody listens on at this moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return tuple(sock.getsockname()[1] for sock in sockets)
