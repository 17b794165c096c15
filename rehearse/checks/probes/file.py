"""One file of the project, or of this machine: generated configuration, what a deployment leaves."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from rehearse.checks.context import CheckedSide
from rehearse.checks.tolerance import (
    Expectations,
    Expected,
    JsonPath,
    Regex,
    TextExpectations,
    Texts,
    Tolerance,
    Yes,
    cut,
    document_complaints,
)
from rehearse.config.fields import Kind, Name
from rehearse.config.section import Section

MAX_FILE_BYTES = 10_000_000
SIDE = "{side}"


def _like(pattern: str, meaning: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"is not {meaning}")
        return text

    return AfterValidator(check)


Sha256 = Annotated[str, Kind("SHA-256", f"'{'0' * 64}'"), _like("[0-9a-f]{64}", "64 hexadecimal digits")]
FileMode = Annotated[
    str, Kind("mode", "'0640'"), _like("0?[0-7]{3}", "a mode of three octal digits, such as '0640'")
]


class FileExpectations(Expectations):
    """What the file must be. Unless it is to be absent, it must be there in any case."""

    exists: Yes | None = Field(default=None, description="It is there, whatever is in it.")
    absent: Yes | None = Field(default=None, description="It is not there.")
    sha256: Sha256 | None = Field(default=None, description="The digest of its bytes.")
    contains: Texts = Field(default=(), description="Texts that are all in it.")
    not_contains: Texts = Field(default=(), description="Texts of which none is in it.")
    regex: Regex | None = Field(default=None, description="Found somewhere in it.")
    mode: FileMode | None = Field(default=None, description="Its permissions, as octal digits.")
    json_: Mapping[JsonPath, Expected] = Field(
        default={}, alias="json", description="Paths of it read as JSON, each with what must be there."
    )
    toml: Mapping[JsonPath, Expected] = Field(
        default={}, description="Paths of it read as TOML, each with what must be there."
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> FileExpectations:
        if self.absent and len(self.model_fields_set) > 1:
            raise ValueError("says `absent`, and what the file must be; write one of the two")
        return self

    @property
    def text(self) -> TextExpectations | None:
        """What is expected of it as a text."""
        keys = {"contains", "not_contains", "regex"} & self.model_fields_set
        return TextExpectations.model_validate({key: getattr(self, key) for key in keys}) if keys else None


class FileProbe(Section):
    """One file. Its path starts from the project's folder; `{side}` in it is `baseline` or `candidate`."""

    path: Name = Field(description="The path of the file.")
    expect: FileExpectations = Field(description="What the file must be.")

    @property
    def what(self) -> str:
        """How sentences name it."""
        return f"file {cut(self.path)}"

    def complaints(self, side: CheckedSide, root: Path) -> Iterator[str]:
        """Read it once, and say what is wrong with it."""
        path = root / self.path.replace(SIDE, str(side.side))
        if self.expect.absent:
            if path.exists() or path.is_symlink():
                yield "expected no such file, found one"
            return
        try:
            content, mode = _read(path)
        except (OSError, ValueError) as error:
            yield f"expected a file, got none: {getattr(error, 'strerror', None) or error}"
        else:
            yield from self._content_complaints(content, mode)

    def _content_complaints(self, content: bytes, mode: int) -> Iterator[str]:
        expect = self.expect
        digest = hashlib.sha256(content).hexdigest()
        if expect.sha256 is not None and digest != expect.sha256:
            yield f"expected SHA-256 {expect.sha256[:16]}..., found {digest[:16]}..."
        if expect.mode is not None and mode != int(expect.mode, 8):
            yield f"expected mode {expect.mode}, found {mode:04o}"
        if expect.text is not None:
            yield from expect.text.complaints(content.decode(errors="replace"))
        yield from _document_complaints("JSON", expect.json_, json.loads, content)
        yield from _document_complaints("TOML", expect.toml, tomllib.loads, content)


def _read(path: Path) -> tuple[bytes, int]:
    """Its bytes and permissions. Raises OSError, and ValueError for what is not an ordinary file of a sane size."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("it is no ordinary file")
    if facts.st_size > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES:,} bytes")
    return path.read_bytes(), stat.S_IMODE(facts.st_mode)


def _document_complaints(
    kind: str, expected: Mapping[str, Tolerance], read: Callable[[str], object], content: bytes
) -> Iterator[str]:
    if not expected:
        return
    try:
        document = read(content.decode())
    except (ValueError, RecursionError) as error:
        yield f"expected {kind}, found {len(content):,} bytes of something else ({type(error).__name__})"
    else:
        yield from document_complaints(expected, document)
