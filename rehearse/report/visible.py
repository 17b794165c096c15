"""Characters that mislead a reader, a parser or a terminal: shown as U+FFFD on the page, left out of plain lines.

They are control characters, half surrogates, noncharacters, and format characters that reorder or hide text
(https://www.unicode.org/reports/tr36/, part 2). The joiners U+200C and U+200D stay: scripts and emoji need them.
"""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"

_NONCHARACTERS = "".join(chr(plane * 0x10000 + last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_MISLEADING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 (without tab and line feed), delete, C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\ufdd0-\ufdef\ud800-\udfff\U000e0000-\U000e0fff" + _NONCHARACTERS + "]"
)
_TERMINAL_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\].*?(?:\x07|\x1b\\)", re.DOTALL)


def visible(text: str) -> str:
    """`text` with each misleading character replaced by U+FFFD; line ends become line feeds."""
    return _MISLEADING.sub(REPLACEMENT, text.replace("\r\n", "\n"))


def printable(text: str) -> str:
    """`text` on one line, without misleading characters and whole terminal sequences; white space is folded."""
    return " ".join(_MISLEADING.sub("", _TERMINAL_SEQUENCE.sub("", text)).split())


def shortened(text: str, length: int) -> str:
    """`text`, cut to `length` characters with an ellipsis where something was left out."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
