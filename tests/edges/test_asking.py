"""How an edge case asks a side through a fault proxy: the way is another one, the name stays the target's."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from rehearse.allowlist import AllowList
from rehearse.edges.asking import Place, added_s, value_at
from rehearse.edges.orders import ProxyOrder
from rehearse.edges.proxy import FaultProxy
from rehearse.edges.toxics import Toxic, ToxicType
from tests.checks.certificates import certificate
from tests.servers import serving


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["http", "https"])
def test_through_a_proxy_host_and_certificate_are_the_targets(tmp_path: Path, is_encrypted: bool) -> None:
    cert, key = certificate(tmp_path)
    with (
        serving(certificate=(cert, key) if is_encrypted else None) as site,
        FaultProxy(ProxyOrder("127.0.0.1", site.port, allow=("127.0.0.1",))) as proxy,
    ):
        context = ssl.create_default_context(cafile=str(cert))
        allow = AllowList(("shop.staging.localhost", "127.0.0.1"))
        place = Place(f"{site.scheme}://shop.staging.localhost:{site.port}/api", allow, verify=context)
        with place.new_client(proxy.address) as client:
            assert client.get("/look").status_code == 200
        assert site.requests == ["GET /api/look"]
        assert site.hosts == [f"shop.staging.localhost:{site.port}"]
        assert proxy.counters().accepted == 1


def test_a_certificate_of_another_name_is_refused_through_a_proxy_too(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with (
        serving(certificate=(cert, key)) as site,
        FaultProxy(ProxyOrder("127.0.0.1", site.port, allow=("127.0.0.1",))) as proxy,
    ):
        context = ssl.create_default_context(cafile=str(cert))
        place = Place(f"https://other.example:{site.port}", AllowList(("other.example",)), verify=context)
        with (
            place.new_client(proxy.address) as client,
            pytest.raises(httpx.ConnectError, match="Hostname mismatch"),
        ):
            client.get("/look")
        assert site.requests == []


def test_what_the_way_through_a_proxy_adds_is_measured_beside_the_direct_way() -> None:
    with serving() as site, FaultProxy(ProxyOrder("127.0.0.1", site.port, allow=("127.0.0.1",))) as proxy:
        place = Place(site.url, AllowList(("127.0.0.1",)))
        alone_s = added_s(place, proxy.address, "/look")
        proxy.set(Toxic(ToxicType.LATENCY, {"latency": 50}))
        late_s = added_s(place, proxy.address, "/look")
    assert alone_s is not None
    assert late_s is not None
    assert 0 <= alone_s < 0.05 <= late_s
    assert added_s(place, proxy.address, "/look") is None  # nobody answers any more


def test_a_value_is_found_by_the_names_on_the_way_to_it() -> None:
    assert value_at({"data": {"token": "x"}}, "data.token") == "x"
    assert value_at({"data": []}, "data.token") is None
