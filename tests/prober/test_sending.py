"""Whose fault a failed probe is, and which version an answer names."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from pathlib import Path

import httpcore
import pytest

from rehearse.disruptions import Probe, SampleOutcome
from rehearse.errors import ConfigError, TargetRefused
from rehearse.load.orders import SideOrder
from rehearse.model import Side
from rehearse.prober.orders import ProbeRequest, ProberOrder, VersionPlace
from rehearse.prober.sending import LARGEST_ANSWER, Answer, HttpSender, Phase, classified, version_in
from rehearse.tls import TlsOrder
from tests.checks.certificates import certificate
from tests.proxies import passing
from tests.servers import Act, Site, playing, serving

OK, FAILED, RIG = SampleOutcome.OK, SampleOutcome.FAILED, SampleOutcome.RIG


def caused(outer: Exception, *inner: Exception) -> Exception:
    """An error as httpcore raises it."""
    for one in inner:
        outer.__cause__ = one
        one.__context__ = None
    return outer


ERRORS = [
    (OSError(errno.ECONNREFUSED, "refused"), Answer(FAILED, "refused")),
    (OSError(errno.ECONNRESET, "reset"), Answer(FAILED, "reset")),
    (OSError(errno.EHOSTUNREACH, "no route"), Answer(FAILED, "unreachable")),
    (ssl.SSLError(1, "handshake failure"), Answer(FAILED, "TLS failed")),
    (OSError(errno.EMFILE, "Too many open files"), Answer(RIG, "out of descriptors")),
    (OSError(errno.ENFILE, "File table overflow"), Answer(RIG, "out of descriptors")),
    (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), Answer(RIG, "out of local ports")),
    (OSError(errno.ENOBUFS, "No buffer space"), Answer(RIG, "out of memory for sockets")),
    (socket.gaierror(-2, "Name or service not known"), Answer(RIG, "name not resolved")),
]


@pytest.mark.parametrize(("cause", "answer"), ERRORS, ids=[one[1].kind + str(one[0].errno) for one in ERRORS])
def test_the_cause_says_whose_fault_it_is_however_it_is_wrapped(cause: OSError, answer: Answer) -> None:
    assert classified(caused(httpcore.ConnectError("all attempts failed"), cause)) == answer
    assert (
        classified(caused(httpcore.ConnectError(""), ExceptionGroup("both", [OSError("?"), cause]))) == answer
    )
    assert classified(cause) == answer


def test_a_rig_that_is_out_of_something_is_to_blame_whatever_else_failed() -> None:
    group = ExceptionGroup("", [OSError(errno.ECONNREFUSED, ""), OSError(errno.EMFILE, "")])
    assert classified(caused(httpcore.ConnectError(""), group)).outcome is RIG


def test_a_connection_that_may_not_be_made_ends_the_probes() -> None:
    with pytest.raises(TargetRefused, match="not on the list"):
        classified(ExceptionGroup("", [TargetRefused("not on the list")]))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Server disconnected without sending a response.", "closed"),
        ("peer closed connection without sending complete message body", "closed"),
        ("illegal status line: b'SSH-2.0'", "garbled answer"),
    ],
)
def test_an_answer_that_ends_early_is_told_from_one_that_is_none(text: str, kind: str) -> None:
    assert classified(httpcore.RemoteProtocolError(text)) == Answer(FAILED, kind)


# --- versions

HEADERS = [(b"Content-Type", b"application/json"), (b"x-version", b"2.0")]


@pytest.mark.parametrize(
    ("place", "body", "version"),
    [
        (VersionPlace(header="X-Version"), b"", "2.0"),
        (VersionPlace(header="X-Other"), b"", ""),
        (VersionPlace(key="version"), b'{"version": "2.1"}', "2.1"),
        (VersionPlace(key="app.build"), b'{"app": {"build": 7}}', "7"),
        (VersionPlace(key="app.build"), b'{"app": 7}', ""),
        (VersionPlace(key="app.build"), b'{"app": {"build": {"no": 7}}}', ""),
        (VersionPlace(key="version"), b'{"version": true}', ""),
        (VersionPlace(key="version"), b"<html>", ""),
        (VersionPlace(key="version"), b"\xff\xfe", ""),
        (VersionPlace(key="version"), b'["version"]', ""),
        (VersionPlace(key="version"), b'{"a":' * 9_000, ""),
        (VersionPlace(), b'{"version": "2.1"}', ""),
        (VersionPlace(key="version"), b'{"version": "a\\u0000\\nb"}', "ab"),
    ],
)
def test_the_version_stands_where_the_user_says_or_nowhere(
    place: VersionPlace, body: bytes, version: str
) -> None:
    assert version_in(place, HEADERS, body) == version


def test_a_version_is_short() -> None:
    assert len(version_in(VersionPlace(key="v"), [], b'{"v": "%s"}' % (b"x" * 500))) == 80


# --- real servers


def sent(
    url: str,
    *requests: ProbeRequest,
    headers: dict[str, str] | None = None,
    tls: TlsOrder | None = None,
    proxy: str | None = None,
) -> list[Answer]:
    """One request after the other."""
    order = ProberOrder(
        SideOrder(Side.CANDIDATE, url, headers or {}, tls=tls or TlsOrder(), proxy=proxy),
        requests,
        allow=("127.0.0.1",),
        version=VersionPlace(header="X-Version", key=""),
    )

    async def run() -> list[Answer]:
        sender = HttpSender(order)
        try:
            async with asyncio.timeout(5):
                return [await sender.send(one, Phase()) for one in requests]
        finally:
            await sender.close()

    return asyncio.run(run())


READ = ProbeRequest(Probe("read"))
FRESH = ProbeRequest(Probe("fresh", is_fresh=True))
WRITE = ProbeRequest(Probe("write", "POST", "/rows/{n}"), body='{"n": {n}}', headers={"X-Own": "1"})


@pytest.mark.parametrize(("request_", "connections"), [(READ, 1), (FRESH, 3)], ids=["kept", "fresh"])
def test_connections_are_kept_or_made_anew(request_: ProbeRequest, connections: int) -> None:
    with serving() as site:
        assert {one.outcome for one in sent(site.url, request_, request_, request_)} == {OK}
    assert site.connections == connections


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, Answer(OK, version="1.0")),
        (204, Answer(OK, version="1.0")),
        (302, Answer(OK, version="1.0")),
        (404, Answer(FAILED, "status 404", "1.0")),
        (500, Answer(FAILED, "status 500", "1.0")),
    ],
)
def test_a_status_of_400_and_more_is_a_failure_that_names_its_version(status: int, answer: Answer) -> None:
    body = b"" if status == 204 else b"{}"
    with serving(status=status, headers={"X-Version": "1.0"}, body=body) as site:
        assert sent(site.url, READ) == [answer]


def test_a_redirect_is_not_followed() -> None:
    with serving() as elsewhere, serving(status=302, location=elsewhere.url) as site:
        assert sent(site.url, READ)[0].outcome is OK
    assert elsewhere.requests == []


def test_no_cookie_ties_a_probe_to_a_server() -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: backend=a\r\nContent-Length: 0\r\n\r\n"
    with playing([answer, answer]) as stage:
        sent(stage.url, READ, READ)
    assert len(stage.requests) == 2
    assert b"ookie" not in stage.requests[1]


def test_each_write_is_another_one_also_in_the_next_run() -> None:
    with serving() as site:
        sent(site.url, WRITE, WRITE)
        sent(site.url, WRITE)
    numbers = [int(one.rpartition("/")[2]) for one in site.requests]
    assert len(set(numbers)) == 3
    assert numbers == sorted(numbers)


def test_the_targets_headers_go_with_each_probe() -> None:
    with serving() as site:
        sent(site.url, READ, headers={"Authorization": "Bearer secret"})
    assert site.authorizations == ["Bearer secret"]


def test_a_new_token_takes_the_place_of_the_old_one() -> None:
    async def run(site: Site) -> None:
        sender = HttpSender(
            ProberOrder(SideOrder(Side.CANDIDATE, site.url, {"Authorization": "old"}), (READ,), ())
        )
        sender.tell_headers({"Authorization": "new"})
        await sender.send(READ, Phase())
        await sender.close()

    with serving() as site:
        asyncio.run(run(site))
    assert site.authorizations == ["new"]


@pytest.mark.parametrize(
    ("act", "kinds"),
    [(Act.CLOSE, {"closed"}), (Act.RESET, {"reset"}), (b"SSH-2.0-OpenSSH_9.0\r\n\r\n", {"garbled answer"})],
    ids=["close", "reset", "not HTTP"],
)
def test_a_server_that_breaks_off_has_failed(act: Act | bytes, kinds: set[str]) -> None:
    with playing([act]) as stage:
        (answer,) = sent(stage.url, FRESH)
    assert (answer.outcome, answer.kind in kinds) == (FAILED, True), answer


def test_nobody_there_is_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert sent(f"http://127.0.0.1:{unused.getsockname()[1]}", READ) == [Answer(FAILED, "refused")]


def test_a_name_that_nobody_knows_is_the_rigs_trouble() -> None:
    assert sent("http://nobody.invalid:8080", READ) == [Answer(RIG, "name not resolved")]


def test_an_answer_too_large_to_read_was_served() -> None:
    with serving(body=b"x" * (LARGEST_ANSWER + 1)) as site:
        assert [one.outcome for one in sent(site.url, READ, READ)] == [OK, OK]


def test_a_header_that_cannot_be_sent_is_a_mistake_of_the_configuration() -> None:
    with serving() as site, pytest.raises(ConfigError, match="probe 'bad' cannot be sent"):
        sent(site.url, ProbeRequest(Probe("bad"), headers={"X-Bad": "a\nb"}))


def test_a_certificate_that_is_not_trusted_is_a_failure_and_a_trusted_one_is_none(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    with serving(certificate=made) as site:
        assert sent(site.url, READ)[0] == Answer(FAILED, "TLS failed")
        assert sent(site.url, READ, tls=TlsOrder(ca=str(made[0])))[0].outcome is OK


def test_phases_tell_no_connection_from_no_answer() -> None:
    async def overdue(url: str) -> str:
        sender, phase = HttpSender(ProberOrder(SideOrder(Side.CANDIDATE, url), (READ,), ())), Phase()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await sender.send(READ, phase)
        await sender.close()
        return phase.overdue

    with serving() as site:
        site.hang.set()
        assert asyncio.run(overdue(site.url)) == "no answer"
        site.released.set()
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        try:
            assert asyncio.run(overdue(f"http://127.0.0.1:{full.getsockname()[1]}")) == "no connection"
        finally:
            for one in waiting:
                one.close()


def test_a_proxy_is_asked_by_the_targets_name_and_gets_its_own_credentials(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    with serving() as plain, serving(certificate=made) as secure:
        names = {"plain.invalid": (plain.host, plain.port), "shop.localhost": (secure.host, secure.port)}
        with passing(names) as proxy:
            way = proxy.url.replace("//", "//user:word@")
            tls = TlsOrder(ca=str(made[0]))
            assert sent("http://plain.invalid:80", READ, proxy=way)[0].outcome is OK
            assert sent("https://shop.localhost:443", READ, proxy=way, tls=tls)[0].outcome is OK
            refused = sent("http://unknown.invalid:80", READ, proxy=way)[0]
    assert [one.split()[0] for one in proxy.asked] == ["GET", "CONNECT", "GET"]
    assert all(one.startswith("Basic ") for one in proxy.credentials)
    assert (refused.outcome, refused.kind) == (FAILED, "status 502")
