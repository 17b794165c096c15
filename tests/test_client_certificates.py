"""A target that wants to see a client certificate: everybody who asks it shows the configured one.

The load's part is in tests/load/test_engine.py.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rehearse.allowlist import AllowList
from rehearse.checking import order_of
from rehearse.checks.clients import client_for
from rehearse.checks.packs.http_checks.wire import get_once
from rehearse.checks.probes.reach import place_of
from rehearse.checks.probes.tls import TlsProbe
from rehearse.config import Settings, load_settings
from rehearse.disruptions import SampleOutcome
from rehearse.doctor.answering import side_findings
from rehearse.doctor.findings import Examined, Grade
from rehearse.errors import NotReady
from rehearse.model import Side
from rehearse.sides import allowed_targets, tls_of
from rehearse.tls import TlsOrder
from tests.checks.certificates import certificate
from tests.prober.test_sending import FRESH, READ, sent
from tests.project import make_project
from tests.servers import Site, serving

SHOWN = '\ncert = "mine/cert.pem"\nkey = "mine/key.pem"'


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The certificate of ours."""
    (tmp_path / "mine").mkdir()
    return certificate(tmp_path / "mine")[0]


@pytest.fixture
def strict(tmp_path: Path, mine: Path) -> Iterator[Site]:
    """It speaks to nobody without the certificate in `mine`."""
    with serving(certificate=certificate(tmp_path), client_ca=mine) as site:
        yield site


def settings_of(root: Path, site: Site, *, shows: bool) -> Settings:
    project = make_project(root, "http://127.0.0.1:9", site.url)
    tls = f'[targets.candidate.tls]\nca = "cert.pem"{SHOWN if shows else ""}'
    project.edit("[safety]", f"{tls}\n\n[safety]")
    return load_settings(root / "rehearse.toml", {}, {})


def examined(settings: Settings) -> list[Examined]:
    (target,) = allowed_targets(settings, (Side.CANDIDATE,))
    return list(side_findings(settings, target, datetime.now(UTC)))


def test_with_the_certificate_target_check_raw_socket_probe_and_doctor_are_let_in(
    tmp_path: Path, strict: Site
) -> None:
    settings = settings_of(tmp_path, strict, shows=True)
    (target,) = allowed_targets(settings, (Side.CANDIDATE,))
    target.prove()
    assert {one.grade for one in examined(settings)} == {Grade.OK}
    context = order_of(settings, Side.CANDIDATE, {Side.CANDIDATE: {}}, "2026-11-21").context
    with client_for(context, context.asked) as client:
        assert client.get("/check").status_code == 200
        assert get_once(client, "/wire").status == 200
    probed = sent(strict.url, READ, FRESH, tls=tls_of(settings, settings.target(Side.CANDIDATE)))
    assert {one.outcome for one in probed} == {SampleOutcome.OK}
    assert {"GET /check", "GET /wire"} < set(strict.requests)


@pytest.mark.parametrize(("shows", "told"), [(True, []), (False, ["got no handshake"])])
def test_a_declared_handshake_shows_it_to_the_target_and_to_no_other_host(
    tmp_path: Path, mine: Path, *, shows: bool, told: list[str]
) -> None:
    """TLS 1.2 ends the handshake without one; 1.3 only what comes after it."""
    probe = TlsProbe.model_validate({"expect": {"verifies": True}})
    tls_1_2 = ssl.TLSVersion.TLSv1_2
    with serving(certificate=certificate(tmp_path), client_ca=mine, newest_tls=tls_1_2) as site:
        settings = settings_of(tmp_path, site, shows=shows)
        side = order_of(settings, Side.CANDIDATE, {Side.CANDIDATE: {}}, "2026-11-21").context.asked
        own, other = (place_of(side, host, None, AllowList(("127.0.0.1",))) for host in (None, "127.0.0.1"))
        assert [one.partition(":")[0] for one in probe.complaints(own)] == told
    assert other.tls == TlsOrder()


def test_without_it_the_message_names_the_setting(tmp_path: Path, strict: Site) -> None:
    settings = settings_of(tmp_path, strict, shows=False)
    (target,) = allowed_targets(settings, (Side.CANDIDATE,))
    with pytest.raises(NotReady, match=r"wants to see a client certificate; name one in tls\.cert"):
        target.prove()
    remedies = [one.remedy for one in examined(settings) if one.grade is Grade.FIX]
    assert len(remedies) == 1
    assert "targets.candidate.tls.cert" in remedies[0]
    context = order_of(settings, Side.CANDIDATE, {Side.CANDIDATE: {}}, "2026-11-21").context
    with (
        client_for(context, context.asked) as client,
        pytest.raises(pytest.skip.Exception, match=r"tls\.cert"),
    ):
        get_once(client, "/wire")
    probed = sent(strict.url, READ, tls=tls_of(settings, settings.target(Side.CANDIDATE)))
    assert [one.outcome for one in probed] == [SampleOutcome.FAILED]
    assert strict.requests == []
