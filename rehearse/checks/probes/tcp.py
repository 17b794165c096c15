"""Whether something listens, and what it says first."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from time import monotonic
from typing import Annotated

from pydantic import Field, model_validator

from rehearse.checks.probes.reach import Place
from rehearse.checks.tolerance import Expectations, Regex, Yes, shown
from rehearse.config.fields import Duration, Name, Whole, between
from rehearse.config.quantities import write_duration
from rehearse.config.section import Section

MAX_BANNER_BYTES = 4096

Port = Annotated[Whole, between(1, 65535, "ports are")]


class TcpExpectations(Expectations):
    """What must happen within `timeout`."""

    connects: Yes | None = Field(default=None, description="Something accepts the connection.")
    refused: Yes | None = Field(
        default=None, description="The host itself says no. Silence is no refusal: it proves nothing."
    )
    banner: Regex | None = Field(
        default=None, description="Found in what is said first, without being asked."
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> TcpExpectations:
        if self.refused and len(self.model_fields_set) > 1:
            raise ValueError("says `refused` and something else; what is refused says nothing")
        return self


class TcpProbe(Section):
    """One TCP connection to what the allow-list names."""

    host: Name | None = Field(default=None, description="Left out: the host of the side under test.")
    port: Port | None = Field(default=None, description="Left out: the port of the side under test.")
    timeout_s: Annotated[Duration, between(0.1, 600, "a check must end", write_duration)] = Field(
        default=5.0, description="Within which it must happen."
    )
    expect: TcpExpectations = Field(description="What must happen.")

    def what(self, place: Place) -> str:
        """How sentences name it."""
        return f"TCP {place.host}:{place.port}"

    def complaints(self, place: Place) -> Iterator[str]:
        """Connect once, and say what is wrong. Raises TargetRefused for what is not on the allow-list."""
        wanted = "a refused connection" if self.expect.refused else "a connection"
        deadline = monotonic() + self.timeout_s
        try:
            with place.connect(self.timeout_s) as connection:
                if self.expect.refused:
                    yield f"expected {wanted}, found one that was accepted"
                if self.expect.banner is not None:
                    yield from self._banner_complaints(self.expect.banner, connection, deadline)
        except ConnectionRefusedError:
            if not self.expect.refused:
                yield f"expected {wanted}, found that it was refused"
        except TimeoutError:
            yield f"expected {wanted} within {self.timeout_s:g} s, found silence"
        except OSError as error:
            yield f"expected {wanted}, got none: {error}"

    def _banner_complaints(self, pattern: str, connection: socket.socket, deadline: float) -> Iterator[str]:
        said = b""
        try:
            while (left_s := deadline - monotonic()) > 0 and len(said) < MAX_BANNER_BYTES:
                connection.settimeout(left_s)
                received = connection.recv(MAX_BANNER_BYTES)
                said += received
                if not received or re.search(pattern, said.decode(errors="replace")):
                    break
        except TimeoutError:
            pass  # what was said until then is what is compared
        if not re.search(pattern, said.decode(errors="replace")):
            yield f"expected {shown(pattern)} in what is said first, not found in {len(said)} bytes"
