"""Takes secrets out of texts: known ones in every spelling that programs give them, and what looks like one.

A letter or a digit is written as itself by everybody; any other character may be percent-encoded, or escaped for JSON,
HTML or Python, once or several times. Base64 hides a text in one of three forms, by where its first byte stands.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from html.entities import codepoint2name
from urllib.parse import unquote

HIDDEN = "***"
# A shorter value stands in every text by chance: without it nothing could be read, and the gaps would tell what it is.
SHORTEST = 4
_WORD = 8  # letters alone that are fewer may be a word: inside of longer ones they are left
_STUMP = 6  # so many characters next to a cut ("...") are known for the beginning or the end of a secret

Clean = Callable[[str], str]


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without any of these secrets, in whatever spelling, and without what looks like one."""
    return _redactor(tuple(secrets))(text)


def redactor(secrets: Iterable[str]) -> Clean:
    """`redact` for many texts and the same secrets."""
    return _redactor(tuple(secrets))


def cut(text: str, longest: int) -> str:
    """The start of a text that is too long. The dots are needed: by them a secret is known that was cut through."""
    return text if len(text) <= longest else f"{text[:longest]}..."


@dataclass(frozen=True, slots=True)
class _Spelling:
    """All the ways to write one secret."""

    needle: (
        str  # letters and digits that each of the ways has: looking for them first is what makes this quick
    )
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class _Redactor:
    secrets: tuple[str, ...]  # longest first: replacing one never leaves a part of another
    spellings: tuple[_Spelling, ...]

    def __call__(self, text: str) -> str:
        for spelling in self.spellings:
            if spelling.needle in text:
                text = spelling.pattern.sub(HIDDEN, text)
        return _without_look_alikes(self._without_stumps(text))

    def _without_stumps(self, text: str) -> str:
        """Whoever cuts a text may cut through a secret: `canary-47...`, `...cret`."""
        if "..." not in text and "…" not in text:
            return text
        shown, at = [], 0
        secrets = [one for one in self.secrets if one[:_STUMP] in text or one[-_STUMP:] in text]
        for cut in _CUT.finditer(text) if secrets else ():
            start = min([cut.start(), *(_stump_before(one, text, cut.start()) for one in secrets)])
            end = max([cut.end(), *(_stump_after(one, text, cut.end()) for one in secrets)])
            start = max(at, start)
            if start < cut.start():
                shown += [text[at:start], HIDDEN]
                at = cut.start()
            if end > cut.end():
                shown += [text[at : cut.end()], HIDDEN]
                at = end
        return "".join([*shown, text[at:]])


@lru_cache(maxsize=16)
def _redactor(secrets: tuple[str, ...]) -> _Redactor:
    # A log holds a key of several lines line by line; a server may show what it was sent decoded.
    lines = {
        line.strip() for secret in secrets for text in (secret, unquote(secret)) for line in text.split("\n")
    }
    known = sorted((line for line in lines if len(line) >= SHORTEST), key=lambda one: (-len(one), one))
    plain = [_spelling(secret) for secret in known]
    return _Redactor(tuple(known), (*plain, *(one for secret in known for one in _in_base64(secret))))


def _stump_before(secret: str, text: str, end: int) -> int:
    """Where the beginning of a secret begins that was cut at `end`."""
    at = text.rfind(secret[:_STUMP], max(0, end - len(secret)), end)
    return at if at >= 0 and len(secret) > _STUMP and secret.startswith(text[at:end]) else end


def _stump_after(secret: str, text: str, start: int) -> int:
    """Where the end of a secret ends that begins at `start`."""
    at = text.find(secret[-_STUMP:], start, start + len(secret))
    end = at + _STUMP
    return end if at >= 0 and len(secret) > _STUMP and secret.endswith(text[start:end]) else start


# --- known secrets ------------------------------------------------------------------------------------------------

_CUT = re.compile(r"\.{3,}|…")
_LETTERS_AND_DIGITS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_WORD_BEGINS = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"
_WORD_ENDS = r"(?![A-Za-z0-9])"
_CONTROL = dict(zip("\t\r\b\f\v\a", "trbfva", strict=True))
_IN_BASE64 = "[A-Za-z0-9+/_-]"


def _spelling(secret: str) -> _Spelling:
    pattern = "".join(map(_ways, re.findall(r"\\+|.", secret, re.DOTALL)))
    if len(secret) < _WORD and secret.isalpha():
        pattern = f"{_WORD_BEGINS}{pattern}{_WORD_ENDS}"
    return _Spelling(_needle(secret), re.compile(pattern))


def _needle(text: str) -> str:
    return max(re.findall(r"[A-Za-z0-9]+", text), key=len, default="")


def _ways(char: str) -> str:
    """A pattern of all ways to write one character, or a run of backslashes."""
    if char in _LETTERS_AND_DIGITS:
        return char
    if char[0] == "\\":  # as one: what escapes them cannot be told from them
        times = len(char)
        return rf"(?:\\{{{times},{8 * times}}}|(?:{'|'.join(_encoded(char[0]))}){{{times}}})"
    own = [r"\+"] if char == " " else [rf"\\{{1,8}}{_CONTROL[char]}"] if char in _CONTROL else []
    plain = rf"\\{{0,8}}{re.escape(char)}"  # escaped for JSON, Python or a shell
    return f"(?:{'|'.join([plain, *own, *_encoded(char)])})"


def _encoded(char: str) -> Iterator[str]:
    code, utf8 = ord(char), char.encode("utf-8", "surrogatepass")
    utf16 = char.encode("utf-16-be", "surrogatepass")
    units = [utf16[at : at + 2].hex() for at in range(0, len(utf16), 2)]
    as_bytes = [utf8] if code < 128 or code > 255 else [utf8, bytes([code])]  # a header may hold either
    for some in as_bytes:
        yield _hex(rf"%(?:25){{0,2}}{byte:02x}" for byte in some)
        yield _hex(rf"\\{{1,8}}x{byte:02x}" for byte in some)
    yield _hex(rf"\\{{1,8}}u{unit}" for unit in units)
    yield _hex([rf"\\{{1,8}}U{code:08x}"])
    named = "apos" if char == "'" else codepoint2name.get(code, f"#{code}")
    yield rf"&(?:amp;){{0,2}}(?:{named}|\#0{{0,4}}{code}|(?i:\#x0{{0,4}}{code:x}));"
    if code > 127:  # UTF-8 that somebody took for Latin-1
        yield re.escape(utf8.decode("latin-1"))


def _hex(parts: Iterable[str]) -> str:
    return f"(?i:{''.join(parts)})"


def _in_base64(secret: str) -> Iterator[_Spelling]:
    """What every Base64 text has that holds the secret, with 0, 1 or 2 bytes before it in its group of three."""
    encodings = ("utf-8",) if secret.isascii() else ("utf-8", "latin-1")
    for encoding in encodings:
        data = secret.encode(encoding, "ignore")
        for before in range(3):
            bits = 8 * (before + len(data))
            whole = base64.b64encode(bytes(before) + data).decode()[-(-8 * before // 6) : bits // 6]
            if len(whole) < SHORTEST:
                continue
            begins = f"{_IN_BASE64}?" if before else ""  # holds bits of it, and of what is before it
            ends = f"{_IN_BASE64}?" if bits % 6 else ""
            padding = f"(?:{_ways('=')}){{0,2}}"
            yield _Spelling(
                _needle(whole), re.compile(f"{begins}{''.join(map(_base64_ways, whole))}{ends}{padding}")
            )


def _base64_ways(char: str) -> str:
    urlsafe = {"+": "-", "/": "_"}.get(char)
    return _ways(char) if urlsafe is None else f"(?:{_ways(char)}|{urlsafe})"


# --- what looks like a secret -------------------------------------------------------------------------------------

_USER_INFORMATION = re.compile(r"://[^\s'\"]{0,2000}@")
_QUOTE = r"\\{0,3}[\"']"
_BETWEEN = rf"(?:{_QUOTE}\s{{0,3}}[:,=]|\s{{0,3}}[:=](?!=))\s{{0,3}}+b?+(?:{_QUOTE})?+"
_TOKEN = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){0,2}")  # "eyJ" is Base64 of '{"'
_SCHEME = re.compile(
    r"(?:\b|(?<=%20))((?i:basic|bearer|negotiate)(?:\s|\+|%20){1,3})(?=\S{0,300}(?:\d|[a-z][A-Z]|=))[A-Za-z0-9+/=._~-]{8,}"
)
_HEADER = re.compile(
    rf"\b(authorization{_BETWEEN})(?!\*\*\*)[^\r\n\"'<\\]+|(cookie{_BETWEEN})[^=\s\"',;]{{1,100}}=[^\r\n\"'<\\]*",
    re.IGNORECASE,
)
_COOKIE = re.compile(
    r"=[^\s;\"',=]{1,4096}={0,2}(?=;\s{0,2}(?:path=|domain=|httponly|secure|samesite=|max-age=|expires=))",
    re.IGNORECASE,
)
_NAMES = (
    r"token|secret|passw|passphrase|pwd|credential|csrf|xsrf|"
    r"(?:api|access|private|signing|encryption)[-_]?key|session[-_]?id"
)
_NAMES_A_SECRET = re.compile(_NAMES, re.IGNORECASE)
_NAMED = re.compile(
    rf"((?:{_NAMES})[\w-]{{0,30}})(?:"
    rf"({_QUOTE}\s{{0,3}}[:,=]\s{{0,3}}b?{_QUOTE}|\s{{0,3}}[:=]\s{{0,3}}b?{_QUOTE})[^\"'\r\n]*?(?=\\{{0,3}}[\"'])|"
    r"(=)(?!=|(?:true|false|null|none)\b)[^\s&;,\"'<>(){}\[\]\\]+|"
    r"(:\s{0,3})(?=\S{0,200}\d)(?=\S{0,200}[a-z])[^\s&;,\"'<>(){}\[\]\\]{6,})",
    re.IGNORECASE,
)
_NAMES_BEGIN = (
    "token",
    "secret",
    "passw",
    "passphrase",
    "pwd",
    "credential",
    "csrf",
    "xsrf",
    "key",
    "session",
)


def names_a_secret(name: str) -> bool:
    """Whether what has this name is a secret, most likely."""
    return _NAMES_A_SECRET.search(name) is not None


def _without_look_alikes(text: str) -> str:
    """Without tokens, credentials and values whose name says what they are, whoever they belong to."""
    if "://" in text:
        text = _USER_INFORMATION.sub(f"://{HIDDEN}@", text)
    if "eyJ" in text:
        text = _TOKEN.sub(HIDDEN, text)
    lowered = text.lower()
    if any(scheme in lowered for scheme in ("basic", "bearer", "negotiate")):
        text = _SCHEME.sub(rf"\1{HIDDEN}", text)
    if "authorization" in lowered or "cookie" in lowered:
        text = _HEADER.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", text)
    if ";" in text:
        text = _COOKIE.sub(f"={HIDDEN}", text)
    if any(name in lowered for name in _NAMES_BEGIN):
        text = _NAMED.sub(lambda found: f"{found[1]}{found[2] or found[3] or found[4]}{HIDDEN}", text)
    return text
