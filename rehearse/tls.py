"""How a target's certificate is verified, and what a client shows of itself: one way for load, probes and checks."""

from __future__ import annotations

import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TlsOrder:
    """How a target's certificate is verified, and what the client shows of itself. Paths are absolute."""

    verify: bool = True
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def context(self) -> ssl.SSLContext:
        """What Python's own clients take."""
        context = ssl.create_default_context(cafile=self.ca)
        if not self.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context


def wants_certificate(said: str) -> bool:
    """Whether an error's words mean that the other end asked for a client certificate and saw none."""
    return "CERTIFICATE_REQUIRED" in said.upper().replace(" ", "_")
