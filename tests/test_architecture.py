"""Who may import whom, and what no module may do: read from the source, so that written arrows cannot rot."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "rehearse"

# the table

LEAVES = set(
    "allowlist codec cutovers databases disruptions errors exit_plan forward_proxy histogram instants judge logs model"
    " process_groups redaction tls told_by_lines".split()
)
PARTS = {
    "config",
    "project",
    "load",
    "edges",
    "prober",
    "replay",
    "checks",
    "cutover",
    "store",
    "report",
    "metrics",
    "migrations",
    "targets",
}
STORY = PARTS | LEAVES | {"journal", "progress", "sides", "tokens"}
COMMANDS = STORY | {
    "rehearsal",
    "wiring",
    "foresight",
    "checking",
    "learning",
    "doctor",
    "promotion",
    "cutting_over",
}  # lazily: see AT_START_OF_CLI

MAY_IMPORT: dict[str, set[str]] = {
    "__main__": {"cli"},
    "cli": COMMANDS | {"demo", "commands"},
    "demo": STORY | {"rehearsal"},
    "commands": COMMANDS,
    "rehearsal": STORY
    | {
        "wiring",
        "probe",
        "checking",
        "watch",
        "foresight",
        "holding",
        "monitoring",
        "renewing",
        "edge_cases",
        "stages",
        "cutover_results",
        "known_version",
    },
    "stages": LEAVES | {"store", "checks", "cutover_results"},
    "known_version": LEAVES | {"store"},
    "cutover_results": LEAVES | {"cutover", "journal", "report", "store"},
    "promotion": STORY | {"rehearsal", "cutover_results", "wiring", "checking"},
    "cutting_over": STORY | {"rehearsal", "wiring", "checking", "edge_cases", "holding", "renewing"},
    "foresight": STORY | {"wiring", "watch"},
    "watch": STORY,
    "doctor": STORY | {"wiring", "holding", "renewing", "inquiry", "checking", "edge_cases"},
    "probe": STORY | {"wiring", "watch"},
    "checking": STORY,
    "edge_cases": STORY | {"wiring"},
    "pytest_plugin": {"checks", "checking", "config", "errors", "model"},
    "wiring": STORY,
    "monitoring": STORY,
    "learning": STORY | {"checking"},
    "sides": LEAVES | {"config", "metrics", "targets", "tokens"},
    "journal": LEAVES | {"store", "load", "checks", "edges", "metrics"},
    "tokens": {"errors"},
    "renewing": LEAVES | {"load", "tokens"},
    "holding": LEAVES | {"store", "load"},
    "config": LEAVES,
    "project": LEAVES,
    "load": LEAVES,
    "edges": LEAVES | {"load"},
    "migrations": LEAVES,
    "prober": LEAVES | {"load"},
    "replay": LEAVES,
    # declared checks are TOML files in the words of rehearse.toml; one pack asks the linters of migrations
    "checks": LEAVES | {"config", "migrations"},
    "cutover": LEAVES | {"load"},
    "store": LEAVES,
    "report": LEAVES,
    "metrics": LEAVES | {"load"},
    "targets": LEAVES | {"inquiry"},
    "inquiry": LEAVES,
    "progress": {"errors"},
    "judge": {"model", "cutovers", "disruptions", "errors", "exit_plan", "histogram"},
    "codec": {"errors", "histogram"},
    "model": {"cutovers", "errors", "histogram"},
    "cutovers": {"disruptions"},
    "histogram": {"errors"},
    "disruptions": set(),
    "exit_plan": {"errors"},
    "instants": {"errors"},
    "allowlist": {"errors"},
    "tls": set(),
    "redaction": set(),
    "logs": {"errors", "redaction"},
    "process_groups": {"errors"},
    "told_by_lines": {"errors"},
    "databases": {"allowlist", "errors"},
    "forward_proxy": {"allowlist", "redaction"},
    "errors": set(),
    "shop": set(),  # a program of its own: started as a child process, imported by nobody
    "__init__": set(),
}

# `rehearse --help` must not wait for numpy, SQLAlchemy or Locust: the rest is imported inside the commands.
AT_START_OF_CLI = {"typer", "rehearse.commands"} | {f"rehearse.{leaf}" for leaf in LEAVES - {"judge"}}

# Locust and gevent patch the whole process, so they live only in modules that run inside a load worker.
PATCHES_THE_PROCESS = {"locust", "gevent", "geventhttpclient"}
INSIDE_WORKER = (
    "crew",
    "detour",
    "lean",
    "lean_messages",
    "request_hooks",
    "locust_tasks",
    "pacer",
    "savings",
    "sql_user",
    "wire",
    "worker",
)
RUNS_INSIDE_WORKER = {f"rehearse/load/{module}.py" for module in INSIDE_WORKER}
# Scenarios say `from rehearse.load import ...`: imported when asked for, so never by `rehearse` itself.
ASKED_FOR_BY_SCENARIOS = {
    ("rehearse/load/__init__.py", "rehearse.load.lean"),
    ("rehearse/load/__init__.py", "rehearse.load.sql_user"),
}

ONLY_THE_SHOP = {"fastapi", "starlette", "uvicorn"}  # an optional extra

JUDGE_MAY_USE = set(
    "__future__ abc bisect collections contextlib copy dataclasses datetime decimal enum fractions"
    " functools hashlib heapq itertools json math numbers numpy operator re scipy statistics string"
    " struct textwrap types typing".split()
)
TOUCHES_THE_WORLD = set(
    "asyncio getpass glob http io locale logging multiprocessing os pathlib platform random secrets"
    " shutil socket sqlite3 ssl subprocess sys tempfile threading time urllib uuid zoneinfo".split()
)
JUDGE_STANDS_ON = (
    "rehearse/model/",
    "rehearse/cutovers.py",
    "rehearse/disruptions.py",
    "rehearse/errors.py",
    "rehearse/exit_plan.py",
    "rehearse/histogram.py",
)
SEEDED_ONLY = {"default_rng", "SeedSequence", "Generator", "PCG64", "Philox", "BitGenerator"}

MAY_EXIT = {"rehearse/cli.py", "rehearse/__main__.py", "rehearse/shop/__main__.py", "rehearse/load/worker.py"}
MAY_ASSERT = "rehearse/checks/packs/"  # checks are pytest functions
SAYS_NOTHING = {"util", "utils", "common", "helper", "helpers", "base"}
RUNS_WHAT_IT_READS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle"}
CATCHES_ALL = {"Exception", "BaseException"}

# reading a module


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module; `at_start` when importing the file imports it too."""

    module: str
    line: int
    at_start: bool = True
    level: int = 0


def imports(node: ast.AST, at_start: bool = True) -> Iterator[Import]:
    """Every import under `node`: in functions, under `if TYPE_CHECKING`, and `import_module("x")` too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, at_start) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = child.module or ""
            yield Import(module, child.lineno, at_start, child.level)
            yield from (Import(f"{module}.{alias.name}", child.lineno, at_start) for alias in child.names)
        elif isinstance(child, ast.Call) and called(child).endswith(("import_module", "__import__")):
            first = child.args[0] if child.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield Import(first.value, child.lineno, at_start)
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(child, ast.If) and dotted(child.test).endswith("TYPE_CHECKING")
        )
        yield from imports(child, at_start and not later)


def dotted(node: ast.AST) -> str:
    """`os.path.join` for that expression; an empty text for what is not a dotted name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def called(call: ast.Call) -> str:
    return dotted(call.func)


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def part_of(path: str) -> str:
    """`load` for `rehearse/load/engine.py`, `cli` for `rehearse/cli.py`."""
    return path.split("/")[1].removesuffix(".py")


def part_imported(module: str) -> str | None:
    """The part of ours that a module name leads to; None for `rehearse.__version__` and what is not ours."""
    names = module.split(".")
    return names[1] if len(names) > 1 and names[0] == "rehearse" and names[1] in MAY_IMPORT else None


# the rules

Rule = Callable[[str, ast.AST], Iterator[tuple[int, str]]]


def imports_follow_the_arrows(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    part = part_of(path)
    for found in imports(tree):
        other = part_imported(found.module)
        if found.level:
            yield found.line, "use absolute imports"
        elif other not in {None, part} and other not in MAY_IMPORT.get(part, set()):
            yield found.line, f"{part} must not import {other}"


def the_command_line_starts_light(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    if part_of(path) not in {"cli", "commands"}:
        return
    for found in imports(tree):
        package = found.module.split(".")[0]
        light = package in sys.stdlib_module_names or found.module in {"rehearse", "rehearse.__version__"}
        allowed = any(found.module == name or found.module.startswith(f"{name}.") for name in AT_START_OF_CLI)
        if found.at_start and not (light or allowed):
            yield found.line, f"import {found.module} inside the function that needs it"


def locust_stays_in_the_worker(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    if path in RUNS_INSIDE_WORKER:
        return
    patching = {name.removesuffix(".py").replace("/", ".") for name in RUNS_INSIDE_WORKER}
    for found in imports(tree):
        if (path, found.module) in ASKED_FOR_BY_SCENARIOS and not found.at_start:
            continue
        if found.module.split(".")[0] in PATCHES_THE_PROCESS or found.module in patching:
            yield found.line, f"{found.module} patches the whole process: only inside a load worker"


def web_frameworks_stay_in_the_shop(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    for found in imports(tree):
        if part_of(path) != "shop" and found.module.split(".")[0] in ONLY_THE_SHOP:
            yield found.line, f"{found.module} comes with an extra: only the sample shop may import it"


def the_judge_is_pure(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """No clock, file, socket, environment or global random: the same evidence gives the same verdict."""
    if part_of(path) != "judge":
        return
    for found in imports(tree):
        package = found.module.split(".")[0]
        if package not in JUDGE_MAY_USE | {"rehearse"}:
            yield found.line, f"judge must not import {package}"
        if found.module.startswith("numpy.random.") and found.module.split(".")[2] not in SEEDED_ONLY:
            yield found.line, f"{found.module} uses the global random"
    for call in calls(tree):
        name, last = called(call), called(call).rpartition(".")[2]
        if last in {"now", "utcnow", "today"}:
            yield call.lineno, f"{name}() reads the clock: take the instant as an argument"
        if name in {"open", "print", "input", "__import__"}:
            yield call.lineno, f"judge must not call {name}()"
        if last in {"default_rng", "SeedSequence"} and not (call.args or call.keywords):
            yield call.lineno, f"{name}() without a seed"
        if name.startswith(("np.random.", "numpy.random.")) and last not in SEEDED_ONLY:
            yield call.lineno, f"{name}() uses the global random"


def the_judge_stands_on_pure_modules(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    for found in imports(tree):
        if path.startswith(JUDGE_STANDS_ON) and found.module.split(".")[0] in TOUCHES_THE_WORLD:
            yield found.line, f"judge is built on {path}, which must not import {found.module}"


def only_entry_points_exit(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    if path in MAY_EXIT:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in {"sys.exit", "exit", "quit"}:
            yield node.lineno, f"{called(node)}(): raise an error of rehearse.errors, cli.py ends the process"
        if isinstance(node, ast.Raise) and node.exc is not None and "SystemExit" in ast.unparse(node.exc):
            yield node.lineno, "raise an error of rehearse.errors, cli.py ends the process"


def nothing_is_swallowed(_: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        catches_all = any(kind is None or dotted(kind) in CATCHES_ALL for kind in kinds)
        silent = all(isinstance(step, ast.Pass | ast.Continue) or says_nothing(step) for step in node.body)
        if catches_all and silent:
            yield node.lineno, "every error is swallowed: name the one that is meant, or record a finding"


def says_nothing(step: ast.stmt) -> bool:
    return isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)


def users_meet_no_assert(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and not path.startswith(MAY_ASSERT):
            yield node.lineno, "assert vanishes under -O: raise an error that says what to do"


def data_is_never_run(_: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    for found in imports(tree):
        if found.module.split(".")[0] in RUNS_WHAT_IT_READS:
            yield found.line, f"{found.module} runs what it reads"
    for call in calls(tree):
        name = called(call)
        if name in {"eval", "exec", "yaml.load", "os.system", "os.popen", "subprocess.getoutput"}:
            yield call.lineno, f"{name}() runs what it is given"
        for keyword in call.keywords:
            off = isinstance(keyword.value, ast.Constant) and not keyword.value.value
            if keyword.arg in {"shell", "allow_pickle"} and not off:
                yield call.lineno, f"{keyword.arg}= runs what it is given"


RULES: list[Rule] = [
    imports_follow_the_arrows,
    the_command_line_starts_light,
    locust_stays_in_the_worker,
    web_frameworks_stay_in_the_shop,
    the_judge_is_pure,
    the_judge_stands_on_pure_modules,
    only_entry_points_exit,
    nothing_is_swallowed,
    users_meet_no_assert,
    data_is_never_run,
]


def complaints(path: str, source: str, rules: list[Rule] = RULES) -> list[str]:
    tree = parsed(source)
    return [f"{path}:{line}: {what}" for rule in rules for line, what in rule(path, tree)]


@cache
def parsed(source: str) -> ast.AST:
    """Once for all rules."""
    return ast.parse(source)


# the tests

MODULES = sorted(path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule: Rule) -> None:
    found = [line for path in MODULES for line in complaints(path, read(path), [rule])]
    assert found == [], "\n".join(found)


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_every_module_is_in_the_table() -> None:
    unknown = {part_of(path) for path in MODULES} - set(MAY_IMPORT)
    assert unknown == set(), f"name them in MAY_IMPORT, with what they may import: {sorted(unknown)}"


def test_the_table_has_no_cycle() -> None:
    order = list(TopologicalSorter(MAY_IMPORT).static_order())
    assert order.index("errors") < order.index("model") < order.index("judge") < order.index("rehearsal")


def test_no_module_has_a_name_that_says_nothing() -> None:
    named = [path.as_posix() for path in PACKAGE.rglob("*") if path.stem.lower().strip("_") in SAYS_NOTHING]
    assert [path for path in named if "templates/" not in path] == []


UNESCAPED = re.compile(r"\|\s*safe\b|autoescape\s+false")


def test_no_template_switches_escaping_off() -> None:
    templates = [path for path in PACKAGE.rglob("templates/**/*") if path.is_file()]
    found = [path.name for path in templates if UNESCAPED.search(path.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize("text", ["{{ name|safe }}", "{{ name | safe }}", "{% autoescape false %}"])
def test_switched_off_escaping_is_recognised(text: str) -> None:
    assert UNESCAPED.search(text)


BREACHES = [
    ("rehearse/load/engine.py", "from rehearse.store import records", "load must not import store"),
    ("rehearse/load/engine.py", "import rehearse.report.html", "load must not import report"),
    ("rehearse/load/engine.py", "from rehearse import config", "load must not import config"),
    ("rehearse/store/records.py", "def f():\n    import rehearse.load.rig", "store must not import load"),
    ("rehearse/store/records.py", "import_module('rehearse.load')", "store must not import load"),
    ("rehearse/edges/dates.py", "from . import faults", "use absolute imports"),
    ("rehearse/rehearsal.py", "from rehearse.shop.app import app", "rehearsal must not import shop"),
    ("rehearse/shop/app.py", "from rehearse.model import Block", "shop must not import model"),
    ("rehearse/errors.py", "from rehearse.model import Block", "errors must not import model"),
    ("rehearse/cli.py", "import numpy", "inside the function"),
    ("rehearse/cli.py", "from rehearse.rehearsal import compare", "inside the function"),
    ("rehearse/commands/runs.py", "from rehearse.store import Store", "inside the function"),
    ("rehearse/load/engine.py", "import locust", "patches the whole process"),
    ("rehearse/load/ledger.py", "def f():\n    import gevent.pool", "patches the whole process"),
    ("rehearse/load/engine.py", "from rehearse.load import worker", "patches the whole process"),
    ("rehearse/load/__init__.py", "from rehearse.load.lean import LeanHttpUser", "patches the whole process"),
    ("rehearse/cli.py", "def serve():\n    import fastapi", "only the sample shop"),
    ("rehearse/judge/stats.py", "import random", "judge must not import random"),
    ("rehearse/judge/stats.py", "from pathlib import Path", "judge must not import pathlib"),
    ("rehearse/judge/stats.py", "now = datetime.now(UTC)", "reads the clock"),
    ("rehearse/judge/stats.py", "text = open('x').read()", "must not call open()"),
    ("rehearse/judge/stats.py", "rng = np.random.default_rng()", "without a seed"),
    ("rehearse/judge/stats.py", "x = np.random.normal(0, 1)", "uses the global random"),
    ("rehearse/judge/stats.py", "from numpy.random import shuffle", "uses the global random"),
    ("rehearse/model/load.py", "import os", "judge is built on rehearse/model/load.py"),
    ("rehearse/store/records.py", "import sys\nsys.exit(1)", "cli.py ends the process"),
    ("rehearse/store/records.py", "raise SystemExit(1)", "cli.py ends the process"),
    ("rehearse/store/records.py", "try:\n    f()\nexcept Exception:\n    pass", "swallowed"),
    ("rehearse/store/records.py", "for x in y:\n    try: f()\n    except: continue", "swallowed"),
    ("rehearse/store/records.py", "try:\n    f()\nexcept (OSError, Exception):\n    ...", "swallowed"),
    ("rehearse/config.py", "assert name in known", "vanishes under -O"),
    ("rehearse/cutover/steps.py", "run(command, shell=True)", "shell="),
    ("rehearse/store/records.py", "import pickle", "runs what it reads"),
    ("rehearse/config.py", "eval(text)", "eval()"),
    ("rehearse/config.py", "yaml.load(text)", "yaml.load()"),
]


@pytest.mark.parametrize(("path", "source", "expected"), BREACHES, ids=[source for _, source, _ in BREACHES])
def test_a_breach_is_found(path: str, source: str, expected: str) -> None:
    assert any(expected in line for line in complaints(path, source))


KEPT = [
    ("rehearse/load/engine.py", "from rehearse.model import Block\nfrom rehearse.load.ledger import Ledger"),
    ("rehearse/cli.py", "import typer\nfrom rehearse import __version__\nfrom rehearse.errors import Exit"),
    ("rehearse/cli.py", "def baseline():\n    from rehearse.rehearsal import baseline"),
    ("rehearse/cli.py", "if TYPE_CHECKING:\n    from rehearse.rehearsal import Outcome"),
    ("rehearse/load/__init__.py", "def __getattr__(name):\n    from rehearse.load.lean import LeanHttpUser"),
    ("rehearse/load/worker.py", "import locust\nfrom rehearse.load.pacer import Pacer"),
    ("rehearse/judge/stats.py", "import numpy as np\nimport scipy.stats\nrng = np.random.default_rng(1)"),
    ("rehearse/checks/packs/http.py", "assert answer.status_code == 200"),
    ("rehearse/store/records.py", "try:\n    f()\nexcept FileNotFoundError:\n    pass"),
    ("rehearse/cutover/steps.py", "run(command, shell=False)"),
]


@pytest.mark.parametrize(("path", "source"), KEPT, ids=[source for _, source in KEPT])
def test_what_is_allowed_is_let_through(path: str, source: str) -> None:
    assert complaints(path, source) == []
