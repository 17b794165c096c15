"""A target behind a forward proxy: load, checks and probes go through it, and nowhere that the list does not name."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearse.allowlist import AllowList
from rehearse.checks.clients import client_for
from rehearse.checks.context import CheckContext, CheckedSide
from rehearse.checks.probes.reach import place_of
from rehearse.config import effective_toml, load_settings, secrets_of
from rehearse.errors import ConfigError, NotReady, TargetRefused
from rehearse.inquiry import HttpInquiry
from rehearse.model import Side
from rehearse.tls import TlsOrder
from tests.checks.certificates import certificate
from tests.project import Project, make_project
from tests.proxies import Passing, passing
from tests.servers import Site, serving
from tests.test_fail_closed import one_message

LEFT, RIGHT = "shop-left.invalid", "shop-right.invalid"  # names that only the proxy knows
PASSWORD = "canary-4711"
BASIC = "Basic " + base64.b64encode(f"rehearse:{PASSWORD}".encode()).decode()
LISTED = (LEFT, RIGHT, "127.0.0.1")
STAGING = {"X-Rehearse-Env": "staging"}


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    """The two sides, as they really are."""
    with serving(headers=dict(STAGING)) as left, serving(headers=dict(STAGING)) as right:
        yield left, right


@pytest.fixture
def proxy(sites: tuple[Site, Site]) -> Iterator[Passing]:
    """What knows where the two sides are, and one more host."""
    left, right = ((site.host, site.port) for site in sites)
    with passing({LEFT: left, RIGHT: right, "elsewhere.invalid": left}) as found:
        yield found


@pytest.fixture
def project(tmp_path: Path, proxy: Passing) -> Project:
    """A project whose targets are behind the proxy."""
    made = make_project(tmp_path, f"http://{LEFT}", f"http://{RIGHT}")
    url = proxy.url.replace("//", f"//rehearse:{PASSWORD}@")
    for name in (LEFT, RIGHT):
        made.edit(f'url = "http://{name}"', f'url = "http://{name}"\nproxy = "{url}"')
    made.edit('allow = ["127.0.0.1"', f'allow = ["127.0.0.1", "{LEFT}", "{RIGHT}"')
    scenario = tmp_path / "visit.py"
    scenario.write_text(scenario.read_text().replace("FastHttpUser", "HttpUser"))
    return made


def inquiry(proxy: str | None, allow: tuple[str, ...] = LISTED) -> HttpInquiry:
    return HttpInquiry(
        "the target", f"http://{RIGHT}", "/", {}, True, "X-Rehearse-Env", AllowList(allow), proxy
    )


def context(proxy: str | None, allow: tuple[str, ...] = LISTED) -> CheckContext:
    side = CheckedSide(
        Side.CANDIDATE, "candidate", f"http://{RIGHT}", other_sides=(f"{LEFT}:80",), proxy=proxy
    )
    return CheckContext(None, side, allow, (), False, 10.0)


def test_probes_go_through_it_and_it_is_no_loopback(proxy: Passing) -> None:
    asking = inquiry(proxy.url)
    asking.check_allowed()
    assert asking.ask() == "staging"
    assert proxy.asked == [f"GET http://{RIGHT}/"]
    assert not asking.is_on_loopback
    here = HttpInquiry("it", "http://127.0.0.1", "/", {}, True, "X", AllowList(LISTED), proxy.url)
    assert not here.is_on_loopback, "the proxy's own loopback is another machine"


@pytest.mark.parametrize(
    ("allow", "missing"), [((RIGHT,), "127.0.0.1"), (("127.0.0.1",), RIGHT)], ids=["proxy", "target"]
)
def test_target_and_proxy_both_have_to_be_listed(
    proxy: Passing, allow: tuple[str, ...], missing: str
) -> None:
    with pytest.raises(TargetRefused, match=missing):
        inquiry(proxy.url, allow).check_allowed()
    with pytest.raises(TargetRefused, match=missing):
        client_for(context(proxy.url, allow), context(proxy.url, allow).asked)
    assert proxy.asked == []


def test_a_production_host_is_no_proxy(proxy: Passing) -> None:
    listed = AllowList(LISTED, ("127.0.0.1",))
    asking = HttpInquiry("it", f"http://{RIGHT}", "/", {}, True, "X", listed, proxy.url)
    with pytest.raises(TargetRefused, match="production"):
        asking.check_allowed()


def test_checks_go_through_it_and_not_to_the_other_side(proxy: Passing) -> None:
    told = context(proxy.url)
    with client_for(told, told.asked) as client:
        assert client.get("/one").status_code == 200
        with pytest.raises(TargetRefused, match="the other side"):
            client.get(f"http://{LEFT}/two")
        with pytest.raises(TargetRefused, match=r"elsewhere\.invalid"):
            client.get("http://elsewhere.invalid/three")
    assert proxy.asked[0] == f"GET http://{RIGHT}/one"
    assert all(LEFT not in line and "elsewhere" not in line for line in proxy.asked)


def test_tls_is_with_the_target_and_only_passes_through_the_proxy(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    with (
        serving(certificate=made, headers=dict(STAGING)) as site,
        passing({"shop.localhost": (site.host, site.port)}) as proxy,
    ):
        trusting = TlsOrder(ca=str(made[0])).context()
        for verify in (trusting, True):
            listed = AllowList(("shop.localhost", "127.0.0.1"))
            asking = HttpInquiry(
                "it", "https://shop.localhost", "/", {}, verify, "X-Rehearse-Env", listed, proxy.url
            )
            if verify is trusting:
                assert asking.ask() == "staging"
            else:
                with pytest.raises(NotReady, match="certificate verify failed"):
                    asking.ask()
        assert proxy.asked == ["CONNECT shop.localhost:443"] * 2
        assert site.requests == ["GET /"]


def test_a_probe_that_connects_by_itself_is_told_so(proxy: Passing) -> None:
    with pytest.raises(ConfigError, match="has a proxy, and this probe connects by itself"):
        place_of(context(proxy.url).asked, None, None, AllowList(LISTED))


def test_its_password_is_a_secret_and_the_rest_is_shown(project: Project, proxy: Passing) -> None:
    settings = load_settings(project.root / "rehearse.toml", {}, {})
    assert PASSWORD in secrets_of(settings)
    for shown in (effective_toml(settings), repr(settings), str(settings)):
        assert PASSWORD not in shown
    assert f'proxy = "http://***@127.0.0.1:{proxy.port}"' in effective_toml(settings)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("socks5://proxy:1080", "is not a proxy"),
        ("http://proxy:3128/path", "is not a proxy"),
        ("http://me:canary-4711@", "is empty"),
    ],
)
def test_what_is_no_proxy_is_a_mistake_and_not_shown(
    project: Project, proxy: Passing, url: str, message: str
) -> None:
    project.edit(proxy.url.replace("//", f"//rehearse:{PASSWORD}@"), url)
    with pytest.raises(ConfigError, match=message) as caught:
        load_settings(project.root / "rehearse.toml", {}, {})
    assert PASSWORD not in str(caught.value)


def test_what_does_not_go_with_a_proxy_is_a_mistake(project: Project, proxy: Passing) -> None:
    project.edit("[safety]", '[checks]\npacks = ["http"]\n\n[safety]')
    line = f'\nproxy = "{proxy.url.replace("//", f"//rehearse:{PASSWORD}@")}"'
    project.edit(f'url = "http://{LEFT}"{line}', f'url = "http://{LEFT}"')
    with pytest.raises(ConfigError) as caught:
        load_settings(project.root / "rehearse.toml", {}, {})
    assert "targets.baseline.proxy: is missing, and the other target has one" in str(caught.value)
    assert "checks.packs: holds 'http', which speaks to the target itself" in str(caught.value)


@pytest.mark.live
def test_a_comparison_goes_through_it_and_its_password_stays_out_of_everything(
    project: Project, proxy: Passing, sites: tuple[Site, Site]
) -> None:
    done = project.run("compare", "--without-baseline")
    assert done.code in {0, 11}, done
    load = [line for line in proxy.asked if line.endswith("/look")]
    assert {line.split("/")[2] for line in load} == {LEFT, RIGHT}
    assert len(load) == sum(line == "GET /look" for site in sites for line in site.requests) > 100
    assert set(proxy.credentials) == {BASIC}
    written = [path for path in project.root.rglob("*") if path.is_file() and path.name != "rehearse.toml"]
    assert {"report.html", "rehearse.db"} <= {path.name for path in written}
    for content in [done.out.encode(), done.err.encode(), *(path.read_bytes() for path in written)]:
        assert PASSWORD.encode() not in content


@pytest.mark.live
def test_a_redirect_off_the_list_is_refused_before_the_proxy_hears_of_it(
    project: Project, proxy: Passing, sites: tuple[Site, Site]
) -> None:
    sites[1].status, sites[1].location = 302, "http://elsewhere.invalid/look"
    done = project.run("compare", "--without-baseline")
    assert done.code == 12, done
    assert "elsewhere.invalid" in one_message(done)
    assert not any("elsewhere" in line for line in proxy.asked)


@pytest.mark.live
def test_a_user_that_goes_through_no_proxy_is_refused(project: Project, proxy: Passing) -> None:
    scenario = project.root / "visit.py"
    scenario.write_text(scenario.read_text().replace("HttpUser", "FastHttpUser"))
    done = project.run("compare", "--without-baseline")
    assert done.code == 2, done
    assert "only an HttpUser goes through one" in one_message(done)
    assert not any(line.endswith("/look") for line in proxy.asked)
