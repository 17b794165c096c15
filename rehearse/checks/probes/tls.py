"""The certificate and the protocol that clients meet."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from rehearse.checks.probes.reach import Place
from rehearse.checks.probes.tcp import Port
from rehearse.checks.tolerance import Expectations, Texts, Yes, cut
from rehearse.config.fields import Duration, ExistingFile, Name, between
from rehearse.config.quantities import write_duration
from rehearse.config.section import Section
from rehearse.tls import TlsOrder

VERSIONS = ("TLSv1.2", "TLSv1.3")  # in rising order; Python's own clients take nothing older
_TEN_YEARS_S = 3660 * 86400.0


class TlsExpectations(Expectations):
    """What the handshake must show. The chain is verified in any case: nothing else could be believed."""

    verifies: Yes | None = Field(
        default=None, description="The chain leads to a trusted certificate, and the name is in it."
    )
    not_expiring_within_s: (
        Annotated[Duration, between(1, _TEN_YEARS_S, "certificates last no longer", write_duration)] | None
    ) = Field(default=None, description="The certificate is valid for that much longer, such as `30d`.")
    minimum_version: Literal["TLSv1.2", "TLSv1.3"] | None = Field(
        default=None, description="What a client of today gets is this version or a newer one."
    )
    names: Texts = Field(default=(), description="Host names that the certificate covers.")


class TlsProbe(Section):
    """One TLS handshake with what the allow-list names, verified as Python's own clients do it."""

    host: Name | None = Field(default=None, description="Left out: the host of the side under test.")
    port: Port | None = Field(default=None, description="Left out: the port of the side under test.")
    server_name: Name | None = Field(
        default=None,
        description="Whom to ask for, and whose name must be in the certificate. Left out: `host`.",
    )
    ca: ExistingFile | None = Field(
        default=None,
        description="Certificates to trust instead of the system's. Left out: what the target's table of rehearse.toml"
        " says.",
    )
    timeout_s: Annotated[Duration, between(0.1, 600, "a check must end", write_duration)] = Field(
        default=5.0, description="When to give up."
    )
    expect: TlsExpectations = Field(description="What the handshake must show.")

    def what(self, place: Place) -> str:
        """How sentences name it."""
        return f"TLS {place.host}:{place.port}"

    def complaints(self, place: Place, now: datetime | None = None) -> Iterator[str]:
        """Shake hands once, and say what is wrong. Raises TargetRefused for what is not on the allow-list."""
        tls = place.tls if self.ca is None else replace(place.tls, ca=str(self.ca))
        try:
            certificate, version = handshake(place, self.server_name, tls, self.timeout_s)
        except ssl.SSLCertVerificationError as error:
            yield f"expected a certificate that verifies, found: {error.verify_message}"
        except OSError as error:  # ssl.SSLError is one
            yield f"got no handshake: {error}"
        else:
            yield from self._certificate_complaints(certificate, now or datetime.now(UTC))
            yield from self._version_complaints(version)

    def _certificate_complaints(self, certificate: Mapping[str, object], now: datetime) -> Iterator[str]:
        ends, least_s = expiry_of(certificate), self.expect.not_expiring_within_s
        if least_s is not None and ends - now < timedelta(seconds=least_s):
            yield (
                f"expected a certificate valid for {write_duration(least_s)} or longer, found one that expires on"
                f" {ends:%Y-%m-%d}"
            )
        covered = names_of(certificate)
        missing = [name for name in self.expect.names if not any(_covers(each, name) for each in covered)]
        if missing:
            yield f"expected a certificate for {', '.join(missing)}, found one for {cut(', '.join(covered))}"

    def _version_complaints(self, version: str) -> Iterator[str]:
        least = self.expect.minimum_version
        if least is not None and version not in VERSIONS[VERSIONS.index(least) :]:
            yield f"expected {least} or newer, found {version}"


def handshake(
    place: Place, server_name: str | None, tls: TlsOrder, timeout_s: float
) -> tuple[Mapping[str, object], str]:
    """The verified certificate and the protocol's version. Raises OSError, of which ssl.SSLError is one."""
    context = replace(tls, verify=True).context()
    with (
        place.connect(timeout_s) as plain,
        context.wrap_socket(plain, server_hostname=server_name or place.host) as connection,
    ):
        return connection.getpeercert() or {}, connection.version() or "no TLS"


def expiry_of(certificate: Mapping[str, object]) -> datetime:
    """When the certificate ends."""
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)


def names_of(certificate: Mapping[str, object]) -> list[str]:
    """The host names and addresses that it is for."""
    rows = certificate.get("subjectAltName", ())
    return [str(row[1]) for row in rows] if isinstance(rows, tuple) else []


def _covers(pattern: str, name: str) -> bool:
    """A star stands for one whole first label."""
    return pattern.lower() in (name.lower(), f"*.{name.lower().partition('.')[2]}")
