"""Known secrets are found in every spelling that programs give them; what looks like a secret is hidden too."""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearse.redaction import HIDDEN, redact, redactor

SECRETS = {
    "plain": "canary-4711-secret",
    "punctuation": "c4n/ry+47=11 &<se\"cr'et>",
    "letters beyond ASCII": "canäry-ключ-4711-😀x",
    "backslashes": 'C:\\\\canary\\4711"x',
    "base64 of its own": "q83vEjRWeJCrze8SNFZ4kKvN7w==",
}


def upper_hex(text: str) -> str:
    return quote(text, safe="")


def lower_hex(text: str) -> str:
    return "".join(
        char if char.isascii() and char.isalnum() else "".join(f"%{byte:02x}" for byte in char.encode())
        for char in text
    )


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent-encoded": upper_hex,
    "percent-encoded, lower hex": lower_hex,
    "percent-encoded, slashes kept": quote,
    "percent-encoded, + for space": quote_plus,
    "percent-encoded twice": lambda text: upper_hex(upper_hex(text)),
    "JSON, ASCII": lambda text: json.dumps(text)[1:-1],
    "JSON": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON, escaped slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "JSON, upper hex": lambda text: "".join(
        char if ord(char) < 128 or ord(char) > 0xFFFF else f"\\u{ord(char):04X}" for char in text
    ),
    "HTML": html.escape,
    "HTML by numbers": lambda text: "".join(
        char if char.isascii() and char.isalnum() else f"&#{ord(char)};" for char in text
    ),
    "HTML by hex numbers": lambda text: "".join(
        char if char.isascii() and char.isalnum() else f"&#x{ord(char):X};" for char in text
    ),
    "HTML twice": lambda text: html.escape(html.escape(text)),
    "repr": repr,
    "ascii": ascii,
    "repr of bytes": lambda text: repr(text.encode()),
    "repr of a repr": lambda text: repr(repr(text)),
    "UTF-8 read as Latin-1": lambda text: text.encode().decode("latin-1"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", SECRETS.values(), ids=list(SECRETS))
def test_a_known_secret_is_hidden_in_every_spelling(secret: str, spelling: str) -> None:
    written = SPELLINGS[spelling](secret)
    shown = redact(f"before {written} after", [secret])
    assert HIDDEN in shown
    assert shown.replace("'", "").replace('"', "").replace("\\", "") in (
        f"before {HIDDEN} after",
        f"before b{HIDDEN} after",
    )


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.standard_b64encode])
@pytest.mark.parametrize("is_padded", [True, False])
@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("after", ["", "a", "ab", ":more of it"])
@pytest.mark.parametrize("secret", [*SECRETS.values(), "s3c~", "ÿ?>~ÿ?>"])
def test_base64_hides_no_secret_wherever_it_begins(
    secret: str, after: str, before: str, is_padded: bool, encode: Callable[[bytes], bytes]
) -> None:
    encoded = encode((before + secret + after).encode()).decode()
    shown = redact(encoded if is_padded else encoded.rstrip("="), [secret])
    assert HIDDEN in shown
    left = [base64.b64decode(part[: len(part) // 4 * 4], b"-_") for part in shown.split(HIDDEN)]
    assert not any(secret.encode()[at : at + 3] in part for part in left for at in range(len(secret) - 2))


def test_base64_inside_of_a_url_or_of_json_is_found() -> None:
    secret = "c4n/ry+47=11 &~~~???"
    for before in ("", "a", "ab"):
        encoded = base64.b64encode((before + secret).encode()).decode()
        for written in (upper_hex(encoded), lower_hex(encoded), encoded.replace("/", "\\/")):
            assert len(redact(written, [secret]).replace(HIDDEN, "")) <= 4


def test_a_basic_header_in_latin_1_is_found() -> None:
    encoded = base64.b64encode("user:geheimnisträger".encode("latin-1")).decode()
    assert "Z2VoZWlt" not in redact(f"credentials {encoded}", ["geheimnisträger"])


@given(st.text(min_size=4, max_size=30), st.sampled_from(sorted(SPELLINGS)), st.text(max_size=5))
def test_no_spelling_of_any_secret_survives(secret: str, spelling: str, around: str) -> None:
    secret = f"k{secret.encode('utf-8', 'replace').decode()}4711x"
    if "\n" in secret or secret != secret.strip():
        return
    written = SPELLINGS[spelling](secret)
    shown = redact(f"{around} {written} {around}", [secret])
    assert written.strip("'\"\\b") not in shown or written in around


# --- what is cut, short, or of several lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'canary-47...", "'***..."),
        ("'canary-4711-se...t of it", "'***...t of it"),
        ("it said canary…", "it said ***…"),
        ("...11-secret'", "...***'"),
        ("'canary-4...1-secret'", "'***...***'"),
        ("x canary-4... y canary-47...", "x ***... y ***..."),
        ("a can... of worms", "a can... of worms"),
        ("canary birds ... sing a secret", "canary birds ... sing a secret"),
        ("canary-4711-secret...", "***..."),
    ],
)
def test_a_secret_that_somebody_cut_is_hidden_up_to_the_cut(text: str, shown: str) -> None:
    assert redact(text, ["canary-4711-secret"]) == shown


def test_a_shorter_secret_than_four_is_left_because_it_is_in_every_text() -> None:
    assert redact("GO: all of it", ["GO"]) == "GO: all of it"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the test of testing, attests", "the *** of testing, attests"),
        ("a=test&b=1", "a=***&b=1"),
        ("a%20test%20b", "a%20***%20b"),
        (r"a\ntest", r"a\n***"),
        ("'test'", "'***'"),
    ],
)
def test_a_secret_that_may_be_a_word_is_hidden_as_a_whole_word_only(text: str, shown: str) -> None:
    assert redact(text, ["test"]) == shown


def test_a_key_of_several_lines_is_hidden_line_by_line() -> None:
    key = "-----BEGIN X-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n"
    assert redact("read: BgkqhkiG9w0B", [key]) == "read: ***"
    assert "MIIE" not in redact(f"key: {key!r}", [key])


def test_a_secret_that_is_given_percent_encoded_is_known_decoded_too() -> None:
    assert redact("the session s/1+x", ["s%2F1%2Bx"]) == "the session ***"


# --- what looks like a secret

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0NzExIn0.c2lnbmF0dXJl-_x"


@pytest.mark.parametrize(
    "text",
    [
        "Set-Cookie: sid=canary; Path=/; HttpOnly",
        "{'set-cookie': 'sid=canary; Path=/'}",
        '"Cookie": "a=1; sid=canary"',
        "(b'cookie', b'sid=canary')",
        "Authorization: Bearer canary",
        "'authorization': 'Basic Y2FuYXJ5'canary'",
        '{"Authorization": "canary"}',
        r"{\"authorization\": \"Bearer canary\"}",
        "got Bearer canary47",
        "a%20Bearer%20canary47",
        "'session=canary; Path=/; HttpOnly'",
        "('sid=canary==; secure')",
        '{"access_token": "canary", "n": 1}',
        '{"refreshToken" : "canary"}',
        r"{\"password\": \"canary\"}",
        "{'client_secret': 'canary'}",
        "client(token='canary')",
        "GET /reset?token=canary&page=2",
        "password=canary",
        "X-Api-Key: canary4711",
        "X-CSRF-Token: canary4711",
        "http://user:canary@host/",
        "postgresql://me:p/canary@db/x",
    ],
)
def test_what_looks_like_a_secret_is_hidden_whoever_it_belongs_to(text: str) -> None:
    shown = redact(text, [])
    assert HIDDEN in shown
    assert "canary" not in shown.replace("'canary'", "")


def test_what_is_hidden_already_is_not_hidden_again() -> None:
    text = '"Authorization": "Basic c2VjcmV0"'
    assert redact(text, ["Basic c2VjcmV0"]) == '"Authorization": "***"'


def test_a_token_of_three_parts_is_hidden_as_a_whole() -> None:
    assert redact(f"signed in: {JWT}, and on", []) == f"signed in: {HIDDEN}, and on"
    assert redact(f"x={JWT.rpartition('.')[0]}", []) == f"x={HIDDEN}"


@pytest.mark.parametrize(
    "text",
    [
        "the token is missing",
        "invalid token: expired",
        "password: required",
        "KeyError: 'price'",
        "assert token == expected",
        "primary key=5",
        "basic authentication is required",
        "Bearer authentication required",
        "contract: GET /login 200 $.token type",
        "contract: GET / 200 header set-cookie sid",
        "the cookie lost HttpOnly, Secure",
        '{"token": null, "has_password": true}',
        "secret=None",
        "GET /orders/[id] 200 $.items[*].price type: number, before: 12.5",
        "2026-11-21T10:12:15Z http://127.0.0.1:8101/a?b=c",
        "tokens: 4711471",
    ],
)
def test_ordinary_words_are_left(text: str) -> None:
    assert redact(text, ["canary-4711-secret"]) == text


@given(st.text(alphabet="abc \"'=:,;{}*.-eyJtokenpasswordcookie\\/@", max_size=80))
def test_what_was_redacted_stays_as_it_is(text: str) -> None:
    once = redact(text, ["canary-4711-secret"])
    assert redact(once, ["canary-4711-secret"]) == once


HOSTILE = [
    "token:",
    "token=",
    '"token":"',
    "...",
    "....x",
    "://",
    "eyJ",
    "bearer ",
    "\\",
    "%25",
    "cookie: ",
    "=a;",
    "=a",
    "authorization: ",
    "canary-4711-secre",
    "a",
    "&amp;",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_time_it_takes_grows_with_the_length_and_no_faster(piece: str) -> None:
    clean = redactor(["canary-4711-secret", '\\\\"/x4'])

    def quickest_s(length: int) -> float:
        text = (piece * length)[:length]
        clean(text)
        times = []
        for _ in range(3):
            began = time.process_time()
            clean(text)
            times.append(time.process_time() - began)
        return min(times)

    # Sixteen times the text: in linear time sixteen times as long, in quadratic time 256 times.
    assert quickest_s(80_000) < 60 * max(quickest_s(5_000), 0.0003)
