"""Credentials that a command tells: asked for when needed, and again before they expire. Kept in memory only."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock
from time import monotonic

from rehearse.errors import NotReady

TIMEOUT_S = 30.0
MOST_BYTES = 16 * 1024
LEAST_CHARACTERS = 4  # a shorter one stands in every text by chance, and could not be kept out of any
RETRY_S = 5.0
_FOR_EVER_S = 1e12

_TOLD: set[str] = set()  # every token that a command or a login said: what must never be written anywhere


def told() -> tuple[str, ...]:
    """Every token that was told to this process, also those that have expired; the longest first."""
    return tuple(sorted(_TOLD, key=len, reverse=True))


def remember(token: str) -> None:
    """One that was told in another way, by a login: a target may echo it."""
    _TOLD.add(token)


@dataclass(frozen=True, slots=True)
class TokenCommand:
    """Where a token comes from, and how it stands in a request."""

    argv: tuple[str, ...]
    working_dir: Path
    header: str
    scheme: str  # before the token, such as "Bearer"; empty: nothing
    refresh_before_s: float
    valid_for_s: float | None  # when the command does not say; None: for as long as the run lasts


@dataclass(frozen=True, slots=True)
class Token:
    """One token, and until when it is good, on the monotonic clock."""

    value: str
    expires_at_s: float | None = None


@dataclass(slots=True)
class TokenSource:
    """The token of one command. Safe for several threads: the command runs once at a time."""

    command: TokenCommand
    now: Callable[[], float] = monotonic
    _token: Token | None = None
    _asked_at_s: float = float("-inf")
    _lock: Lock = field(default_factory=Lock, repr=False)

    def header(self) -> Mapping[str, str]:
        """The header with a token that is still good. Raises NotReady when there is none, and none can be had."""
        with self._lock:
            if self._token is None or self.is_expired():
                self._ask()
            elif self.is_due():
                with suppress(NotReady):  # the last one is still good: it is tried again
                    self._ask()
            token = self._token
        return {} if token is None else self._header_of(token)

    def renew(self) -> None:
        """Ask again. A failure is not raised while the last token is good: it is tried again."""
        with self._lock:
            try:
                self._ask()
            except NotReady:
                if self.is_expired():
                    raise

    def is_due(self) -> bool:
        """Whether it is time to ask again."""
        token = self._token
        if token is None or token.expires_at_s is None:
            return False
        is_soon = self.now() >= token.expires_at_s - self.command.refresh_before_s
        return is_soon and self.now() >= self._asked_at_s + RETRY_S

    def is_expired(self) -> bool:
        """Whether the last token is good no more."""
        token = self._token
        return token is not None and token.expires_at_s is not None and self.now() >= token.expires_at_s

    def current(self) -> Mapping[str, str]:
        """The header with the last token; asks nobody."""
        return {} if self._token is None else self._header_of(self._token)

    def _header_of(self, token: Token) -> Mapping[str, str]:
        return {self.command.header: f"{self.command.scheme} {token.value}".strip()}

    def _ask(self) -> None:
        self._asked_at_s = self.now()
        self._token = read_token(_said_by(self.command), self.now(), self.command)
        _TOLD.add(self._token.value)


class FreshHeaders(Mapping[str, str]):
    """A target's headers, with a token that is good at the moment when they are read."""

    def __init__(self, fixed: Mapping[str, str], source: TokenSource) -> None:
        self._fixed, self._source = fixed, source

    def _now(self) -> Mapping[str, str]:
        return {**self._fixed, **self._source.header()}

    def __getitem__(self, name: str) -> str:
        return self._now()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


@cache
def source_of(command: TokenCommand) -> TokenSource:
    """The one source of a command in this process: targets that share it share its token."""
    return TokenSource(command)


def read_token(said: bytes, now_s: float, command: TokenCommand) -> Token:
    """The token that a command printed: as it is, or as JSON with `token` and perhaps `expires_in` (seconds).

    Raises NotReady, without a word of what was said: it may hold the secret.
    """
    text = said.decode("utf-8", "replace").strip()
    lifetime_s = command.valid_for_s
    if text.startswith("{"):
        text, lifetime_s = _from_json(text, lifetime_s, command)
    is_token = text.isascii() and text.isprintable() and LEAST_CHARACTERS <= len(text) <= MOST_BYTES
    if not is_token:
        raise _failed(command, "did not print a token: one line of printable ASCII is needed")
    return Token(text, None if lifetime_s is None else now_s + lifetime_s)


def _from_json(text: str, lifetime_s: float | None, command: TokenCommand) -> tuple[str, float | None]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise _failed(command, "printed something that begins like JSON and is none") from None
    token = document.get("token", document.get("access_token"))
    expires_in = document.get("expires_in", lifetime_s)
    if not isinstance(token, str):
        raise _failed(command, 'printed JSON without a text as its "token"')
    if expires_in is None:
        return token, None
    is_number = isinstance(expires_in, int | float) and not isinstance(expires_in, bool)
    if not is_number or not 0 < expires_in < _FOR_EVER_S:
        raise _failed(command, 'printed an "expires_in" that is not a number of seconds above zero')
    return token, float(expires_in)


def _said_by(command: TokenCommand) -> bytes:
    try:
        done = subprocess.run(
            command.argv,
            cwd=command.working_dir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it may hold the secret, and a log is an artefact
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _failed(command, f"took over {TIMEOUT_S:g} s") from None
    except OSError as error:
        raise _failed(command, f"cannot be run: {error.strerror or error}") from error
    if done.returncode != 0:
        raise _failed(command, f"ended with exit code {done.returncode}")
    return done.stdout


def _failed(command: TokenCommand, what: str) -> NotReady:
    return NotReady(
        f"the auth command {command.argv[0]!r} {what}. Run it by hand to see why: what it says is not shown here."
    )
