"""Values as bytes (a version byte, then zlib) and as text (a version number beside the data).

A reader that meets a version it does not know refuses, so that a later format is never half understood.
"""

from __future__ import annotations

import zlib
from typing import TypeVar

from rehearse.codec import CodecError, JsonData, canonical_json, from_bytes, parse_json, to_bytes
from rehearse.errors import StoreError

T = TypeVar("T")

VERSION = 1
MOST_BYTES = 64 * 1024 * 1024  # decompressed: a bomb of a few kB must not fill the memory


def pack(value: object, where: str) -> bytes:
    """`value` as a version byte and compressed canonical JSON. `where` names it if it cannot be stored."""
    try:
        text = to_bytes(value)
    except CodecError as error:
        raise StoreError(f"{where} cannot be stored: {error}") from error
    return deflate(text, where)


def deflate(text: bytes, where: str, version: int = VERSION) -> bytes:
    """`text` as a version byte and compressed. Raises StoreError naming `where` when it is too large."""
    if len(text) > MOST_BYTES:
        raise StoreError(
            f"{where} cannot be stored: {len(text)} bytes are more than the {MOST_BYTES} allowed"
        )
    return bytes([version]) + zlib.compress(text)


def inflate(body: bytes, where: str) -> bytes:
    """The inverse of `deflate`. Raises StoreError naming `where` on anything that it cannot have made."""
    try:
        return _inflate(body)
    except CodecError as error:
        raise unreadable(where, error) from error


def unpack(kind: type[T], body: bytes, where: str) -> T:
    """The inverse of `pack`. Raises StoreError naming `where` on anything that `pack` cannot have made."""
    try:
        return from_bytes(kind, _inflate(body))
    except CodecError as error:
        raise unreadable(where, error) from error


def seal(data: JsonData, where: str) -> str:
    """JSON data as text with the version of its format."""
    try:
        return canonical_json([VERSION, data]).decode("ascii")
    except CodecError as error:
        raise StoreError(f"{where} cannot be stored: {error}") from error


def unseal(text: str) -> JsonData:
    """The inverse of `seal`. Raises CodecError: the caller knows what it was reading."""
    match parse_json(text):
        case [version, data] if version == VERSION and type(version) is int:
            return data
        case _:
            raise CodecError(f"is not in format {VERSION}, the one that this rehearse knows")


def unreadable(where: str, error: CodecError) -> StoreError:
    """The one message for stored data that is not what was written."""
    return StoreError(
        f"{where} cannot be read: {error}. It was damaged or changed: restore a copy, or record again."
    )


def _inflate(body: bytes) -> bytes:
    if body[:1] != bytes([VERSION]):
        raise CodecError(f"starts with {body[:1].hex() or 'nothing'}; this rehearse knows format {VERSION}")
    return inflated(body[1:])


def inflated(packed: bytes) -> bytes:
    """What was compressed, within bounds. Raises CodecError."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(packed, MOST_BYTES + 1)
    except zlib.error as error:
        raise CodecError(str(error)) from error
    if len(text) > MOST_BYTES:
        raise CodecError(f"is more than {MOST_BYTES} bytes when decompressed")
    if not inflater.eof or inflater.unused_data:
        raise CodecError("is cut short" if not inflater.eof else "goes on after its end")
    return text
