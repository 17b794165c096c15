"""Secrets are taken out of a recording, by the names that they go by and by the shapes that they have.

What is taken out is counted by where it stood; its value is kept nowhere. Personal data that is no secret (names,
addresses) is not recognised.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
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
        return "/".join(segments) + (f"?{self._query(query)}" if query else "")

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Those that a person would have written into a scenario."""
        kept = {}
        for name, value in headers.items():
            lower = name.lower()
            if is_secret_name(lower) or (not _OF_THE_BROWSER.fullmatch(lower) and is_secret_value(value)):
                self.counts[f"header {_shown(lower)}"] += 1
            elif not _OF_THE_BROWSER.fullmatch(lower) or (lower == "accept" and _ACCEPTED.fullmatch(value)):
                kept[name] = value
        return kept

    def body(self, text: str, content_type: str) -> Body | None:
        """JSON and forms, without secrets; None for what cannot be read."""
        kind = content_type.partition(";")[0].strip().lower()
        if kind == "application/x-www-form-urlencoded":
            pairs = parse_qsl(text, keep_blank_values=True)
            return Body(text=urlencode([(name, self._value("form", name, value)) for name, value in pairs]))
        if kind in {"application/json", ""} or kind.endswith("+json"):
            try:
                return Body(json=self._data(parse_json(text), ""))
            except CodecError:
                return None
        return None

    def user_information(self) -> None:
        """A URL had a user and a password in it; whoever reads it leaves them out."""
        self.counts["user and password of a URL"] += 1

    def _segment(self, segment: str) -> str:
        plain, semicolon, parameter = segment.partition(";")
        if semicolon and is_secret_name(parameter.partition("=")[0]):  # ;jsessionid=...
            self.counts["path parameter"] += 1
            semicolon = parameter = ""
        if is_secret_value(unquote(plain)):
            self.counts["path"] += 1
            return SCRUBBED
        return plain + semicolon + parameter

    def _query(self, query: str) -> str:
        """Left as it was written, but for the secrets."""
        pairs = []
        for pair in query.split("&"):
            name, equals, value = pair.partition("=")
            plain = unquote(value.replace("+", " "))
            scrubbed = self._value("query", unquote(name), plain)
            pairs.append(pair if scrubbed == plain else f"{name}{equals}{quote(scrubbed)}")
        return "&".join(pairs)

    def _value(self, place: str, name: str, value: str) -> str:
        if value and (is_secret_name(name) or is_secret_value(value)):
            self.counts[f"{place} {_shown(name)}"] += 1
            return SCRUBBED
        return value

    def _data(self, data: JsonData, name: str) -> JsonData:
        if isinstance(data, dict):
            return {key: self._data(value, key) for key, value in data.items()}
        if isinstance(data, list):
            return [self._data(value, name) for value in data]
        if isinstance(data, str):
            return self._value("body", name, data)
        if isinstance(data, int | float) and not isinstance(data, bool) and is_secret_name(name):
            self.counts[f"body {_shown(name)}"] += 1
            return 0
        return data


def _shown(name: str) -> str:
    """A name for the account of what was taken out; what is no name is not shown."""
    return name if re.fullmatch(r"[\w.\[\]-]{1,40}", name) and not is_secret_value(name) else "(unnamed)"
