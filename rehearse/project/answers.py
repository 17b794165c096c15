"""What somebody answered before a project is written, and what was assumed where nobody was there to ask."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rehearse.allowlist import host_and_port, is_loopback
from rehearse.databases import is_database, read_database_url
from rehearse.errors import ConfigError

BASELINE_URL, CANDIDATE_URL = "http://127.0.0.1:8101", "http://127.0.0.1:8102"
WRITING = ("post", "put", "patch", "delete")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Answers:
    """All that the files of a new project depend on."""

    baseline: str = BASELINE_URL
    candidate: str | None = CANDIDATE_URL  # None: the upgrade takes the baseline's place, at the same address
    ready: str = "/"
    locust_file: Path | None = None  # one that somebody has already
    writes: bool = False  # requests may change data on both sides
    exclude_tags: tuple[str, ...] = ()  # of tasks that are never run in a rehearsal
    reset: tuple[str, ...] = ()  # the command that puts the data back
    production: tuple[str, ...] = ()

    @property
    def urls(self) -> tuple[str, ...]:
        """Of both sides; of the single environment where there is one."""
        return (self.baseline,) if self.candidate is None else (self.baseline, self.candidate)

    @property
    def are_databases(self) -> bool:
        """Users run SQL, and send no requests."""
        return is_database(self.baseline)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Of both sides, each once. A database in a file has none."""
        return tuple(dict.fromkeys(host for host in map(_host_of, self.urls) if host is not None))

    @property
    def stand_ins(self) -> Mapping[str, str]:
        """A value for each variable of the addresses, to read the new files without their secrets."""
        return {name: "x" for url in self.urls for name in _VARIABLE.findall(url)}

    @property
    def is_local(self) -> bool:
        """Both sides run on this machine, and so does the load generator."""
        return all(map(is_loopback, self.hosts))

    @property
    def shares_host(self) -> bool:
        """Two sides run on one machine."""
        return self.candidate is not None and (self.is_local or len(self.hosts) == 1)


def read_url(given: str, what: str) -> str:
    """An address as the configuration takes it. Raises ConfigError; the message holds no password."""
    url = given.strip().rstrip("/")
    if is_database(url):
        return _read_database(url, what)
    try:
        host_and_port(url)
    except ValueError as error:
        shown = url.rpartition("@")[2]  # what stands before it is a password
        raise ConfigError(f"{what} {shown!r} {error}; write it like {BASELINE_URL}") from None
    return url


def _read_database(url: str, what: str) -> str:
    scheme = urlsplit(url).scheme
    try:
        password = read_database_url(url).password
    except ValueError as error:
        raise ConfigError(f"{what} {scheme}://...: {error}.") from None
    if password and not _VARIABLE.fullmatch(password):
        raise ConfigError(
            f"{what} {scheme}://...: holds a password, and the file is for everybody to review. Put it into a variable,"
            " and write ${DB_PASSWORD} in its place (in single quotes, or the shell fills it in)."
        )
    return url


def _host_of(url: str) -> str | None:
    return read_database_url(url).host if is_database(url) else host_and_port(url)[0]


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
