"""Which values of the configuration are secret: passwords in URLs, headers, what options such as `--token=` carry."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

from rehearse.redaction import HIDDEN, SHORTEST

SECRET_NAME = re.compile(r"token|secret|passw|pwd|key|credential|auth|cookie", re.IGNORECASE)
PUBLIC_HEADER = re.compile(r"accept(-.*)?|user-agent|content-type|cache-control|connection", re.IGNORECASE)
_USER_INFORMATION = re.compile(r"://([^\s'\"]*)@")
_OPTION = re.compile(
    r"(--?[\w-]*(?:token|secret|passw|pwd|key|credential|auth)[\w-]*)(=?)(.*)", re.IGNORECASE | re.DOTALL
)


def redact_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """A command without what follows an option whose name says that it is secret."""
    shown, hides_next = [], False
    for word in argv:
        option = _OPTION.fullmatch(word)
        if option and option[2]:
            word = f"{option[1]}={HIDDEN}"
        shown.append(HIDDEN if hides_next and not word.startswith("-") else word)
        hides_next = option is not None and not option[2]
    return tuple(shown)


def in_command(argv: Sequence[str]) -> Iterator[str]:
    """The secret values inside a command."""
    for before, after in zip(argv, redact_argv(argv), strict=True):
        if before != after:
            yield before.partition("=")[2] if after != HIDDEN else before
        yield from in_url(before)


def in_url(text: str) -> Iterator[str]:
    """The password of each URL in the text, as it is written and as it is meant."""
    for user_information in _USER_INFORMATION.findall(text):
        password = user_information.partition(":")[2]
        yield from (password, unquote(password))


def in_header(name: str, value: str) -> Iterator[str]:
    """A header's value, its part after "Bearer", what is inside "Basic", and the values of cookies."""
    if PUBLIC_HEADER.fullmatch(name):
        return
    scheme, _, credentials = value.rpartition(" ")
    yield from (value, credentials)
    if name.lower() == "cookie":
        yield from (pair.partition("=")[2].strip() for pair in value.split(";"))
    if scheme.lower() == "basic":
        try:
            both = base64.b64decode(credentials, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return
        yield from (both, both.partition(":")[2])


def longest_first(values: Iterable[str]) -> tuple[str, ...]:
    """Each value once, so that replacing one never leaves a part of another; too short ones are left out."""
    return tuple(sorted({value for value in values if len(value) >= SHORTEST}, key=lambda v: (-len(v), v)))
