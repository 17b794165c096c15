"""From a file of recorded traffic to a Locust file on disk, and what to tell whoever asked for it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from io import BufferedIOBase
from pathlib import Path

from rehearse.errors import ConfigError
from rehearse.replay.access_log import read_access_log
from rehearse.replay.har import MAX_BYTES, read_har
from rehearse.replay.locustfile import arrivals_file, counted, locust_file
from rehearse.replay.openapi import read_openapi
from rehearse.replay.recording import Recording


class SourceKind(StrEnum):
    """What a scenario can be made from."""

    HAR = "HAR"
    ACCESS_LOG = "access log"
    OPENAPI = "OpenAPI"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    kind: SourceKind
    source: Path
    output: Path | None = None
    side_effects: bool = False
    overwrite: bool = False
    host: str | None = None  # of a HAR: whose requests are taken


def make_scenario(wish: Wish, command: str) -> list[str]:
    """Write the Locust file, and the arrival times where the source has them; the lines to show. Raises ConfigError."""
    recording = _recording(wish)
    output = wish.output or Path("scenarios", f"{_stem(wish.source)}.py")
    if output.suffix != ".py":
        raise ConfigError(f"{output}: a Locust file is a Python file; name it {output.with_suffix('.py')}.")
    arrivals = output.with_suffix(".arrivals") if len(set(recording.arrivals_s)) > 1 else None
    _write(output, locust_file(recording, command), wish.overwrite)
    if arrivals is not None:
        _write(arrivals, arrivals_file(recording, command), wish.overwrite)
    return list(_told(recording, output, arrivals))


def _stem(source: Path) -> str:
    plain = "".join(char if char.isalnum() else "_" for char in source.name.partition(".")[0])
    return plain.strip("_").lower() or "recorded"


def _recording(wish: Wish) -> Recording:
    name = wish.source.name
    try:
        if wish.kind is SourceKind.ACCESS_LOG:
            with _opened(wish.source) as lines:
                return read_access_log(_lines(lines), name, wish.side_effects)
        if wish.source.stat().st_size > MAX_BYTES:
            raise ConfigError(
                f"{wish.source} has more than {MAX_BYTES // 1_000_000} MB; record less at a time."
            )
        content = wish.source.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{wish.source} cannot be read: {reason}.") from None
    if wish.kind is SourceKind.HAR:
        return read_har(content, name, wish.host, wish.side_effects)
    return read_openapi(content, name, wish.side_effects)


def _opened(path: Path) -> BufferedIOBase:
    """As bytes, unpacked where it is packed: rotated logs are."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _lines(stream: BufferedIOBase) -> Iterator[str]:
    """Line by line, none of them longer than is ever looked at."""
    while line := stream.readline(1 << 16):
        yield line.decode("utf-8", errors="replace")


def _write(path: Path, text: str, overwrite: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if overwrite else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(
            f"{path} is there already; --force replaces it, --output names another file."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None


def _told(recording: Recording, output: Path, arrivals: Path | None) -> Iterator[str]:
    yield f"wrote {output}: {len(recording.journeys)} tasks, {recording.requests} different requests"
    if arrivals is not None:
        yield f"wrote {arrivals}: {len(recording.arrivals_s)} arrival times over {recording.arrivals_s[-1]:g} s"
    if recording.left_out:
        yield f"left out: {counted(recording.left_out)}"
    if recording.scrubbed:
        yield f"scrubbed: {counted(recording.scrubbed)}"
    yield from recording.notes
    yield f"try it: locust -f {output} --headless -u 1 -r 1 -t 10s -H {recording.base_url or 'http://127.0.0.1:8101'}"
    yield f'in rehearse.toml: [[scenarios]] name = "{output.stem}", file = "{output.as_posix()}"'
    if arrivals is not None:
        count, last_s = len(recording.arrivals_s), recording.arrivals_s[-1]
        rate = (count - 1) / last_s
        yield (
            f'and under [load]: rate = {rate:.4g}, arrivals = "recorded", recorded = "{arrivals.as_posix()}";'
            " another rate is the same traffic, quicker or slower"
        )
