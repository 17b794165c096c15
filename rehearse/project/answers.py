"""What somebody answered before a project is written, and what was assumed where nobody was there to ask."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rehearse.allowlist import host_and_port, is_loopback
from rehearse.databases import is_database
from rehearse.errors import ConfigError

BASELINE_URL, CANDIDATE_URL = "http://127.0.0.1:8101", "http://127.0.0.1:8102"
WRITING = ("post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Answers:
    """All that the files of a new project depend on."""

    baseline: str = BASELINE_URL
    candidate: str = CANDIDATE_URL
    ready: str = "/"
    locust_file: Path | None = None  # one that somebody has already
    writes: bool = False  # requests may change data on both sides
    exclude_tags: tuple[str, ...] = ()  # of tasks that are never run in a rehearsal
    reset: tuple[str, ...] = ()  # the command that puts the data back
    production: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """Of both sides, each once."""
        return tuple(dict.fromkeys(host_and_port(url)[0] for url in (self.baseline, self.candidate)))

    @property
    def is_local(self) -> bool:
        """Both sides run on this machine, and so does the load generator."""
        return all(map(is_loopback, self.hosts))

    @property
    def shares_host(self) -> bool:
        """Both sides run on one machine."""
        return self.is_local or len(self.hosts) == 1


def read_url(given: str, what: str) -> str:
    """An address as the configuration takes it. Raises ConfigError."""
    url = given.strip().rstrip("/")
    if is_database(url):
        raise ConfigError(
            f"{what} {urlsplit(url).scheme}://...: `init` writes projects for HTTP. For a database see docs/load.md."
        )
    try:
        host_and_port(url)
    except ValueError as error:
        raise ConfigError(f"{what} {given!r} {error}; write it like {BASELINE_URL}") from None
    return url


@dataclass(frozen=True, slots=True)
class Writing:
    """A line of a Locust file that sends a request which may change data."""

    method: str
    line: int


def writing_in(locust_file: Path) -> tuple[Writing, ...]:
    """Where a Locust file plainly sends POST and the like; it is read, and not run.

    Raises ConfigError when it cannot be read as Python. What it sends through functions of its own is not seen.
    """
    try:
        tree = ast.parse(locust_file.read_text(encoding="utf-8"), str(locust_file))
    except OSError as error:
        raise ConfigError(f"--from {locust_file}: cannot be read ({error.strerror}).") from None
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"--from {locust_file}: is not Python: {error}.") from None
    return tuple(sorted(_writing(tree), key=lambda one: one.line))


def _writing(tree: ast.AST) -> Iterator[Writing]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        method = node.func.attr
        first = node.args[0] if node.args else None
        if method == "request" and isinstance(first, ast.Constant) and isinstance(first.value, str):
            method = first.value.lower()
        elif not _is_client(node.func.value):
            continue  # such as a list's or a session's own `delete`
        if method in WRITING:
            yield Writing(method.upper(), node.lineno)


def _is_client(node: ast.expr) -> bool:
    """`self.client`, `self.user.client`, `client`."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name == "client"


def told(sends: Sequence[Writing]) -> str:
    """ "POST (lines 14, 22), DELETE (line 30)"."""
    lines: dict[str, list[str]] = {}
    for one in sends:
        lines.setdefault(one.method, []).append(str(one.line))
    return ", ".join(
        f"{method} (line{'s' if len(at) > 1 else ''} {', '.join(at)})" for method, at in lines.items()
    )
