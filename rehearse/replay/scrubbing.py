"""Secrets are taken out of a recording, by the names that they go by and by the shapes that they have.

What is taken out is counted by where it stood; its value is kept nowhere. Personal data that is no secret (names,
addresses) is not recognised.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from urllib.parse import parse_qsl, quote, unquote, urlencode

from rehearse.codec import CodecError, JsonData, parse_json
from rehearse.replay.recording import Body

SCRUBBED = "SCRUBBED"

_SECRET_WORDS = frozenset(
    "auth authorization authentication token tokens secret secrets password passwords passwd pwd pass passphrase pin"
    " otp totp session sessionid sid csrf xsrf signature sig hmac credential credentials jwt bearer cookie apikey"
    " accesskey privatekey ssn cvv cvc iban nonce".split()
)
_SECRET_ENDS = ("token", "secret", "password", "sessid", "sessionid")  # phpsessid, jsessionid
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SHAPES = re.compile(
    r"eyJ[\w-]{4,}\.[\w-]{4,}\.[\w-]*"  # JSON Web Token
    r"|(?:Bearer|Basic|Digest)\s.*"
    r"|(?:sk|pk|rk|whsec)_\w{8,}|sk-[\w-]{16,}|gh[opsur]_\w{16,}|github_pat_\w+|glpat-[\w-]{10,}"
    r"|xox[abeoprs]-[\w-]+|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{30,}|ya29\.[\w-]+"
    r"|-----BEGIN .*"
    r"|[0-9a-fA-F]{32,}",
    re.DOTALL,
)
_OPAQUE = re.compile(r"[\w+/=-]{24,}", re.ASCII)
_OPAQUE_CHARACTERS = 12  # different ones, or it is a word, however long
# `code` is a word like any other, but not where a sign-in comes back, or beside what OAuth sends with it.
_CODES = frozenset({"code", "code_verifier"})
_BESIDE_CODES = frozenset({"grant_type", "client_id", "redirect_uri", "code_verifier", "session_state"})
_SIGN_IN = re.compile(r"callback|oauth|oidc|authoriz|sign-?in|log-?in|\bsso\b", re.IGNORECASE)
_DEEPEST = 4  # URLs inside values of URLs; what is deeper still is taken out as a whole
_USER_INFORMATION = re.compile(r"(\w://)[^\s/?#]*@")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_CARD = re.compile(r"\d(?:[ -]?\d){12,18}")

# A browser sets them by itself, or they belong to the connection.
_OF_THE_BROWSER = re.compile(
    r":.*|accept(-encoding|-language|-charset)?|access-control-.*|alt-used|cache-control|connection|content-length"
    r"|content-type|dnt|expect|forwarded|host|if-.*|keep-alive|origin|pragma|priority|proxy-connection|purpose|range"
    r"|referer|save-data|sec-.*|te|trailer|transfer-encoding|upgrade.*|user-agent|via|x-forwarded-.*|x-real-ip"
)
_ACCEPTED = re.compile(r"[a-z]+/[a-z0-9.+-]+", re.IGNORECASE)  # one media type, not a browser's list


def is_secret_name(name: str) -> bool:
    """Whether something of this name is a secret, whatever it looks like."""
    words = [word.lower() for word in _WORDS.findall(name)]
    pairs = [first + second for first, second in pairwise(words)]
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) for word in (*words, *pairs))


def is_secret_value(value: str) -> bool:
    """Whether this looks like a secret, whatever it is called."""
    text = value.strip()
    if _SHAPES.fullmatch(text):
        return True
    if _CARD.fullmatch(text) and _is_card_number(re.sub(r"\D", "", text)):
        return True
    if not _OPAQUE.fullmatch(text) or _UUID.fullmatch(text):
        return False
    kinds = (str.isdigit, str.islower, str.isupper)
    return all(any(map(kind, text)) for kind in kinds) and len(set(text)) >= _OPAQUE_CHARACTERS


def _is_card_number(digits: str) -> bool:
    """Luhn's sum."""
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0 and len(set(digits)) > 1


class Scrubber:
    """Takes secrets out of the parts of requests, and counts where they stood."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def path(self, path: str) -> str:
        """A path with its query; without a fragment."""
        plain, _, query = path.partition("#")[0].partition("?")
        segments = [self._segment(segment) for segment in plain.split("/")]
        return "/".join(segments) + (f"?{self._query(query, plain)}" if query else "")

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Those that a person would have written into a scenario."""
        kept = {}
        for name, value in headers.items():
            lower = name.lower()
            if is_secret_name(lower) or (not _OF_THE_BROWSER.fullmatch(lower) and is_secret_value(value)):
                self.counts[f"header {_shown(lower)}"] += 1
            elif not _OF_THE_BROWSER.fullmatch(lower) or (lower == "accept" and _ACCEPTED.fullmatch(value)):
                kept[name] = self._inside("header", lower, value)
        return kept

    def body(self, text: str, content_type: str) -> Body | None:
        """JSON and forms, without secrets; None for what cannot be read."""
        kind = content_type.partition(";")[0].strip().lower()
        if kind == "application/x-www-form-urlencoded":
            pairs = parse_qsl(text, keep_blank_values=True)
            codes = _codes_among(name for name, _ in pairs)
            scrubbed = [(name, self._value("form", name, value, name in codes)) for name, value in pairs]
            return Body(text=urlencode(scrubbed))
        if kind in {"application/json", ""} or kind.endswith("+json"):
            try:
                return Body(json=self.data(parse_json(text)))
            except CodecError:
                return None
        return None

    def text(self, place: str, name: str, value: str) -> str:
        """A value that stands by itself, without secrets."""
        return self._value(place, name, value)

    def data(self, data: JsonData) -> JsonData:
        """A JSON document, without secrets."""
        return self._data(data, "")

    def user_information(self) -> None:
        """A URL had a user and a password in it; whoever reads it leaves them out."""
        self.counts["user and password of a URL"] += 1

    def _segment(self, segment: str, depth: int = 0) -> str:
        plain, semicolon, parameter = segment.partition(";")
        if semicolon and is_secret_name(parameter.partition("=")[0]):  # ;jsessionid=...
            self.counts["path parameter"] += 1
            semicolon = parameter = ""
        text = unquote(plain)
        if is_secret_value(text):
            self.counts["path"] += 1
            return SCRUBBED
        inside = self._inside("path", "", text, depth + 1)
        return (plain if inside == text else quote(inside, safe="")) + semicolon + parameter

    def _query(self, query: str, path: str, depth: int = 0) -> str:
        """Left as it was written, but for the secrets."""
        pairs = []
        names = [unquote(pair.partition("=")[0]) for pair in query.split("&")]
        codes = _CODES if _SIGN_IN.search(path) or "state" in names else _codes_among(names)
        for name, pair in zip(names, query.split("&"), strict=True):
            written, equals, value = pair.partition("=")
            plain = unquote(value.replace("+", " "))
            scrubbed = self._value("query", name, plain, name in codes, depth)
            pairs.append(pair if scrubbed == plain else f"{written}{equals}{quote(scrubbed)}")
        return "&".join(pairs)

    def _value(self, place: str, name: str, value: str, is_secret: bool = False, depth: int = 0) -> str:
        if value and (is_secret or is_secret_name(name) or is_secret_value(value)):
            self.counts[f"{place} {_shown(name)}"] += 1
            return SCRUBBED
        return self._inside(place, name, value, depth + 1)

    def _inside(self, place: str, name: str, value: str, depth: int = 0) -> str:
        """A URL that stands in a value, without its secrets; what is none is left as it is."""
        text = _USER_INFORMATION.sub(r"\1", value)
        if text != value:
            self.user_information()
        plain, question, rest = text.partition("?")
        query, mark, fragment = rest.partition("#") if question else ("", "", "")
        if not question:
            plain, mark, fragment = text.partition("#")
        if depth > _DEEPEST:
            if not question and not mark and "%" not in text:
                return text
            self.counts[f"{place} {_shown(name)}"] += 1
            return SCRUBBED
        if plain.startswith("/") or "://" in plain:
            plain = "/".join(self._segment(segment, depth) for segment in plain.split("/"))
        query, fragment = (
            self._query(part, plain, depth) if "=" in part else part for part in (query, fragment)
        )
        return f"{plain}{question}{query}{mark}{fragment}"

    def _data(self, data: JsonData, name: str, is_secret: bool = False) -> JsonData:
        """What is below a secret's name is secret, by whatever names of its own."""
        is_secret = is_secret or is_secret_name(name)
        if isinstance(data, dict):
            codes = _codes_among(data)
            return {key: self._data(value, key, is_secret or key in codes) for key, value in data.items()}
        if isinstance(data, list):
            return [self._data(value, name, is_secret) for value in data]
        if isinstance(data, str):
            return self._value("body", name, data, is_secret)
        if isinstance(data, int | float) and not isinstance(data, bool) and is_secret:
            self.counts[f"body {_shown(name)}"] += 1
            return 0
        return data


def _codes_among(names: Iterable[str]) -> frozenset[str]:
    """Which of the names that stand together are those of codes that open something."""
    return _CODES if _BESIDE_CODES.intersection(names) else frozenset()


def _shown(name: str) -> str:
    """A name for the account of what was taken out; what is no name is not shown."""
    return name if re.fullmatch(r"[\w.\[\]-]{1,40}", name) and not is_secret_value(name) else "(unnamed)"
