"""TCP and TLS probes: real listeners on loopback, and nothing that the allow-list does not name."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rehearse.allowlist import AllowList
from rehearse.checks.context import CheckedSide
from rehearse.checks.probes.reach import Place, place_of
from rehearse.checks.probes.tcp import TcpProbe
from rehearse.checks.probes.tls import TlsProbe
from rehearse.errors import ConfigError, TargetRefused
from rehearse.model import Side
from tests.checks.certificates import certificate
from tests.checks.declaring import probe
from tests.servers import Site, serving

LOOPBACK = AllowList(("127.0.0.1",))


@contextmanager
def greeting(*words: bytes) -> Iterator[int]:
    """A listener that says these words to whoever connects, and then nothing more; its port."""
    done = threading.Event()

    def greet(listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # nobody came
        with connection:
            for word in words:
                connection.sendall(word)
            done.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener,), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found: int = listener.getsockname()[1]
        return found


def tcp(folder: Path, port: int, expectation: str) -> list[str]:
    asked = probe(folder, TcpProbe, f'timeout = "500ms"\nexpect.{expectation}')
    return list(asked.complaints(Place("127.0.0.1", port, LOOPBACK)))


def test_a_listener_connects_and_is_not_refused(tmp_path: Path) -> None:
    with greeting() as port:
        assert tcp(tmp_path, port, "connects = true") == []
    with greeting() as port:
        assert tcp(tmp_path, port, "refused = true") == [
            "expected a refused connection, found one that was accepted"
        ]


def test_a_closed_port_is_refused_and_does_not_connect(tmp_path: Path) -> None:
    port = free_port()
    assert tcp(tmp_path, port, "refused = true") == []
    assert tcp(tmp_path, port, "connects = true") == ["expected a connection, found that it was refused"]


@contextmanager
def full() -> Iterator[int]:
    """A listener whose queue is full: further connections meet silence."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = []
        try:
            for _ in range(4):
                connection = socket.socket()
                connection.setblocking(False)
                connection.connect_ex(listener.getsockname())
                waiting.append(connection)
            yield listener.getsockname()[1]
        finally:
            for connection in waiting:
                connection.close()


@pytest.mark.parametrize("expectation", ["connects", "refused"])
def test_silence_is_neither_a_connection_nor_a_refusal(tmp_path: Path, expectation: str) -> None:
    with full() as port:
        (said,) = tcp(tmp_path, port, f"{expectation} = true")
    assert said.endswith("within 0.5 s, found silence")


def test_refused_means_at_every_address(tmp_path: Path) -> None:
    asked = probe(tmp_path, TcpProbe, 'timeout = "300ms"\nexpect.refused = true')
    with full() as port:
        place = Place("two", port, AllowList(("two",)), resolve=lambda _: ("127.0.0.2", "127.0.0.1"))
        assert list(asked.complaints(place)) == ["expected a refused connection within 0.3 s, found silence"]


def test_a_banner_may_come_in_pieces(tmp_path: Path) -> None:
    with greeting(b"220 mail", b" ready\r\n") as port:
        assert tcp(tmp_path, port, "banner = '^220 .* ready'") == []


def test_a_banner_that_does_not_come_is_complained_of(tmp_path: Path) -> None:
    with greeting(b"421 busy") as port:
        (said,) = tcp(tmp_path, port, "banner = '^220'")
    assert said == "expected '^220' in what is said first, not found in 8 bytes"


def test_nothing_connects_to_what_is_not_listed() -> None:
    with greeting() as port, pytest.raises(TargetRefused, match="not on the allow-list"):
        Place("127.0.0.1", port, AllowList(("10.0.0.1",))).connect(1)


def test_a_listed_name_does_not_lead_to_production() -> None:
    """All addresses are compared before any is connected to."""
    allow_list = AllowList(("mail.staging.example",), production=("192.0.2.9",))
    place = Place("mail.staging.example", 25, allow_list, resolve=lambda _: ("127.0.0.1", "192.0.2.9"))
    with pytest.raises(TargetRefused, match="production"):
        place.connect(1)


def test_a_name_without_an_address_is_a_failure_and_no_refusal(tmp_path: Path) -> None:
    place = Place("gone.example", 25, AllowList(("gone.example",)), resolve=lambda _: ())
    asked = probe(tmp_path, TcpProbe, "expect.refused = true")
    (said,) = list(asked.complaints(place))
    assert said == "expected a refused connection, got none: the host 'gone.example' has no address"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.example", ("shop.example", 443)),
        ("http://127.0.0.1:81/shop", ("127.0.0.1", 81)),
        ("postgresql://me:secret@db.example/shop", ("db.example", 5432)),
    ],
)
def test_what_a_probe_leaves_out_is_that_of_the_side_under_test(url: str, expected: tuple[str, int]) -> None:
    place = place_of(CheckedSide(Side.CANDIDATE, "candidate", url), None, None, LOOPBACK)
    assert (place.host, place.port) == expected


def test_a_file_has_no_place() -> None:
    with pytest.raises(ConfigError, match="is a file: name a `host` and a `port`"):
        place_of(CheckedSide(Side.CANDIDATE, "candidate", "sqlite:///x.db"), None, 25, LOOPBACK)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Path]]:
    cert, key = certificate(tmp_path_factory.mktemp("tls"))
    with serving(certificate=(cert, key)) as site:
        yield site, cert


def tls(folder: Path, site: Site, ca: Path | None, table: str, now: datetime | None = None) -> list[str]:
    trusted = f'ca = "{ca}"\n' if ca else ""
    asked = probe(folder, TlsProbe, f"{trusted}{table}")
    return list(asked.complaints(Place(site.host, site.port, LOOPBACK), now))


TLS_MET = """
expect.verifies = true
expect.not_expiring_within = "20d"
expect.minimum_version = "TLSv1.2"
expect.names = ["shop.localhost", "a.staging.localhost"]
"""


def test_a_certificate_that_is_as_expected_is_not_complained_of(
    secure: tuple[Site, Path], tmp_path: Path
) -> None:
    assert tls(tmp_path, *secure, TLS_MET) == []


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            'expect.not_expiring_within = "40d"',
            "expected a certificate valid for 40d or longer, found one that",
        ),
        (
            'expect.names = ["a.b.staging.localhost"]',
            "expected a certificate for a.b.staging.localhost, found",
        ),
        (
            'server_name = "other.localhost"\nexpect.verifies = true',
            "expected a certificate that verifies, found: ",
        ),
    ],
)
def test_each_expectation_of_a_certificate_can_fail(
    secure: tuple[Site, Path], tmp_path: Path, table: str, expected: str
) -> None:
    (said,) = tls(tmp_path, *secure, table)
    assert said.startswith(expected)


def test_a_chain_that_does_not_verify_satisfies_nothing(secure: tuple[Site, Path], tmp_path: Path) -> None:
    (said,) = tls(tmp_path, secure[0], None, 'expect.minimum_version = "TLSv1.2"')
    assert re.search("expected a certificate that verifies, found: self.signed certificate", said)


def test_the_end_of_a_certificate_is_reckoned_from_now(secure: tuple[Site, Path], tmp_path: Path) -> None:
    later = datetime.now(UTC) + timedelta(days=25)
    (said,) = tls(tmp_path, *secure, 'expect.not_expiring_within = "20d"', later)
    assert "found one that expires on" in said


def test_a_server_without_tls_is_a_failure_told_apart(tmp_path: Path) -> None:
    with serving() as site:
        (said,) = tls(tmp_path, site, None, "expect.verifies = true")
    assert said.startswith("got no handshake: ")


def test_an_old_protocol_is_complained_of(tmp_path: Path) -> None:
    asked = probe(tmp_path, TlsProbe, 'expect.minimum_version = "TLSv1.3"')
    assert list(asked._version_complaints("TLSv1.2")) == ["expected TLSv1.3 or newer, found TLSv1.2"]
    assert list(asked._version_complaints("TLSv1.3")) == []
