"""Nothing is loaded by mistake: which urls, hosts and addresses the list lets through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rehearse.allowlist import AllowList, host_and_port, is_loopback, normal_host, read_allowed
from rehearse.errors import TargetRefused
from rehearse.sides import hosts_elsewhere

ALLOWED = (
    "shop.staging.example",
    "*.apps.staging.example",
    "bücher.example",
    "127.0.0.1",
    "10.20.0.0/16",
    "::1",
)
LIST = AllowList((*ALLOWED, "db.staging.example:8443"), ("*.prod.example", "shop.example"))


# ------------------------------------------------------------------------------------------------ urls


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.staging.example/health?x=1#top",
        "https://SHOP.Staging.Example.:8443/",
        "http://a.apps.staging.example",
        "http://a.b.apps.staging.example",
        "http://bücher.example",
        "http://xn--bcher-kva.example",
        "http://127.0.0.1:8101",
        "http://10.20.255.1/",
        "http://[::1]:8080/",
        "http://[::ffff:127.0.0.1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "https://db.staging.example:8443/",
        "ws://127.0.0.1/feed",
    ],
)
def test_a_listed_host_may_be_loaded(url: str) -> None:
    LIST.check_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://evil.example/", "evil.example:80 is not on the allow-list"),
        ("http://staging.example/", "not on the allow-list"),
        ("http://apps.staging.example/", "not on the allow-list"),
        ("http://shop.staging.example.evil.example/", "not on the allow-list"),
        ("http://db.staging.example/", "not on the allow-list"),
        ("http://db.staging.example:5432/", "not on the allow-list"),
        ("http://127.0.0.2/", "not on the allow-list"),
        ("http://10.21.0.1/", "not on the allow-list"),
        ("http://[::2]/", "[::2]:80 is not on the allow-list"),
        ("http://[::ffff:127.0.0.2]/", "127.0.0.2:80 is not on the allow-list"),
        ("http://localhost/", "not on the allow-list"),
        ("http://0.0.0.0/", "not on the allow-list"),
        ("http://shop.example/", "safety.production names it"),
        ("http://a.b.prod.example/", "safety.production names it"),
        ("http://127.0.0.1@evil.example/", "user information"),
        ("http://user:hunter2@shop.staging.example/", "user information"),
        ("http://@shop.staging.example/", "user information"),
        ("http://shop.staging.example\\@evil.example/", "backslash"),
        ("http:\\\\shop.staging.example", "backslash"),
        ("http://shop.staging.example\t.evil.example/", "control character"),
        ("http://shop.staging.example\r\nHost: evil.example", "control character"),
        (" http://shop.staging.example", "space"),
        ("http://shop.staging.example\u200b/", "control character"),
        ("http://127.1/", "unusual form"),
        ("http://2130706433/", "unusual form"),
        ("http://0x7f.0.0.1/", "unusual form"),
        ("http://0x7f000001/", "unusual form"),
        ("http://0177.0.0.1/", "unusual form"),
        ("http://127.0.0.01/", "unusual form"),
        ("http://127.0.0.1.1/", "unusual form"),
        ("http://[127.0.0.1]/", "a URL that"),
        ("http://[::1/", "no clear host"),
        ("http://[::1]evil.example/", "no clear host"),
        ("http://::1/", "no clear host"),
        ("http://straße.example/", "IDNA"),
        ("http://%73hop.staging.example/", "not a host name"),
        ("http://shop..staging.example/", "not a host name"),
        ("http://shop.staging.example:0/", "1..65535"),
        ("http://shop.staging.example:65536/", "1..65535"),
        ("http://shop.staging.example:8a/", "no clear host"),
        ("http:///health", "empty"),
        ("http:shop.staging.example", "empty"),
        ("//shop.staging.example/", "does not start with http"),
        ("ftp://shop.staging.example/", "does not start with http"),
        ("file:///etc/passwd", "does not start with http"),
        ("", "empty"),
    ],
)
def test_anything_else_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(TargetRefused) as refusal:
        LIST.check_url(url)
    assert reason in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_an_empty_list_refuses_everything_and_says_what_to_add() -> None:
    with pytest.raises(TargetRefused, match=r'^refused: shop:80 is not .* add "shop" to safety\.allow'):
        AllowList(()).check_url("http://shop/")


def test_production_is_refused_even_if_it_is_allowed() -> None:
    both = AllowList(
        ("www.example", "10.0.0.0/8", "a.prod.example"), ("www.example", "10.1.0.0/16", "*prod*")
    )
    for url in ("http://www.example/", "http://10.1.2.3/", "http://a.prod.example/"):
        with pytest.raises(TargetRefused, match="production"):
            both.check_url(url)
    both.check_url("http://10.2.2.3/")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("*", "too wide"),
        ("*.com", "too wide"),
        ("shop.*.example", "too wide"),
        ("*shop.staging.example", "too wide"),
        ("*.*.staging.example", "too wide"),
        ("0.0.0.0/0", "too wide"),
        ("52.0.0.0/8", "too wide"),
        ("2600::/12", "too wide"),
        ("::/0", "too wide"),
        ("10.0.0.1/8", "last bits zero"),
        ("::ffff:10.0.0.0/104", "IPv4 network mapped"),
        ("http://shop.example", "only its host"),
        ("user@shop.example", "no clear host"),
        ("shop.example:0", "1..65535"),
        ("shop.example:", "no clear host"),
        ("*.bücher.example", "xn--"),
        ("127.1", "unusual form"),
        ("", "empty"),
        ("a b", "space"),
    ],
)
def test_an_entry_that_lists_too_much_or_nothing_clear_is_refused(entry: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_allowed(entry)


@pytest.mark.parametrize(
    "entry", ["10.0.0.0/8", "52.1.0.0/16", "fd00::/8", "[::1]:8080", "::1", "*.svc.local"]
)
def test_an_entry_as_wide_as_a_staging_network_is_taken(entry: str) -> None:
    read_allowed(entry)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("shop.localhost", True),
        ("127.8.9.1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("localhost.example", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_only(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


# ---------------------------------------------------------------------------------- urls, by hypothesis

PIECES = st.sampled_from(
    "shop.staging.example|127.0.0.1|evil.example|http://|https://|@|:|/|\\|?|#|[|]|%2e|%00|.|..|0x7f|;|&|80"
    "|2130706433|::1|::ffff:|。|℀|１|\t|\n| ".split("|")
)
URLS = st.one_of(
    st.lists(PIECES, max_size=8).map("".join),
    st.lists(PIECES, max_size=6).map(lambda pieces: "http://" + "".join(pieces)),
    st.text(max_size=30).map(lambda text: f"http://shop.staging.example{text}"),
    st.text(max_size=30).map(lambda text: f"http://{text}shop.staging.example"),
)


def host_by_httpx(url: str) -> str:
    return httpx.URL(url).host


def host_by_stdlib(url: str) -> str:
    return urlsplit(url).hostname or ""


def host_by_urllib3(url: str) -> str:
    import urllib3

    return urllib3.util.parse_url(url).host or ""


READERS: list[Callable[[str], str]] = [host_by_httpx, host_by_stdlib, host_by_urllib3]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@given(url=URLS)
@example(url="http://shop.staging.example\\@evil.example/")
@example(url="http://shop.staging.example:80@evil.example/")
@example(url="http://evil.example#@shop.staging.example/")
@example(url="http://evil.example?@shop.staging.example/")
@example(url="http://shop.staging.example;@evil.example/")
@example(url="http://[::1]@evil.example/")
def test_no_http_library_reads_another_host_than_the_one_that_was_checked(
    reader: Callable[[str], str], url: str
) -> None:
    try:
        LIST.check_url(url)
    except TargetRefused:
        return
    try:
        host = reader(url)
    except (ValueError, httpx.InvalidURL, HTTPException):
        return
    assert normal_host(host) == host_and_port(url)[0]


@given(st.text(max_size=40))
def test_the_one_form_of_a_host_is_the_form_of_itself(text: str) -> None:
    try:
        normal = normal_host(text)
    except ValueError:
        return
    assert normal_host(normal) == normal
    assert normal.isascii()


@given(st.ip_addresses())
def test_an_address_is_allowed_exactly_when_it_is_in_a_listed_network(address: object) -> None:
    listed = AllowList(("10.0.0.0/8", "fd00::/8"))
    expected = str(address).startswith(("10.", "fd")) and (
        ":" not in str(address) or len(str(address).split(":")[0]) == 4
    )
    try:
        listed.check_address(str(address), 80, no_names)
    except TargetRefused:
        assert not expected
    else:
        assert expected


# --------------------------------------------------------------------------------------- after DNS


def no_names(name: str) -> Sequence[str]:
    return ()


@dataclass
class FakeNames:
    """A resolver whose answers the test changes; it counts how often it was asked."""

    answers: dict[str, Sequence[str]]
    asked: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        return self.answers.get(name, ())


@dataclass
class FakeClock:
    """Time as an argument."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_that_a_listed_name_resolves_to_may_be_connected_to() -> None:
    names = FakeNames({"shop.staging.example": ["10.9.9.9", "fd00::9"]})
    listed = AllowList(("shop.staging.example:443",))
    listed.check_address("10.9.9.9", 443, names)
    listed.check_address("fd00::9%eth0", 443, names)
    with pytest.raises(TargetRefused, match=r"10\.9\.9\.9:80 .*No listed name resolves to it"):
        listed.check_address("10.9.9.9", 80, names)


def test_a_second_hostname_of_a_production_service_is_refused_by_its_address() -> None:
    names = FakeNames({"www.example": ["10.1.1.1"], "alias.staging.example": ["10.1.1.1"]})
    listed = AllowList(("alias.staging.example", "10.1.0.0/16"), ("www.example",))
    with pytest.raises(TargetRefused, match=r"10\.1\.1\.1:80 is www\.example, which is production"):
        listed.check_address("10.1.1.1", 80, names)
    listed.check_address("10.1.1.2", 80, names)


def test_an_allowed_name_that_production_names_too_opens_no_address() -> None:
    names = FakeNames({"a.prod.example": ["10.1.1.1"]})
    listed = AllowList(("a.prod.example",), ("*.prod.example",))
    with pytest.raises(TargetRefused):
        listed.check_address("10.1.1.1", 80, names)


def test_a_name_that_a_wildcard_allowed_is_known_once_it_was_looked_up() -> None:
    names = FakeNames({"a.apps.staging.example": ["10.9.9.9"]})
    listed = AllowList(("*.apps.staging.example",))
    with pytest.raises(TargetRefused):
        listed.check_address("10.9.9.9", 80, names)
    listed.check_host("a.apps.staging.example", None)
    listed.check_address("10.9.9.9", 80, names)


def test_only_the_name_that_is_connected_to_is_looked_up() -> None:
    names = FakeNames({"shop.staging.example": ["10.9.9.9"]})
    listed = AllowList(("dead.staging.example", "shop.staging.example"), ("www.example",))
    listed.check_host("shop.staging.example", None)
    listed.check_address("10.9.9.9", 80, names)
    assert names.asked == ["www.example", "shop.staging.example"]


def test_names_are_asked_again_for_an_unknown_address_at_most_once_a_second() -> None:
    names, clock = FakeNames({"shop.staging.example": ["10.9.9.1"]}), FakeClock()
    listed = AllowList(("shop.staging.example",), clock=clock)
    listed.check_address("10.9.9.1", 80, names)
    names.answers["shop.staging.example"] = ["10.9.9.2"]
    clock.now = 0.9
    for _ in range(3):
        with pytest.raises(TargetRefused):
            listed.check_address("10.9.9.2", 80, names)
    assert len(names.asked) == 1
    clock.now = 1.0
    listed.check_address("10.9.9.2", 80, names)
    listed.check_address("10.9.9.1", 80, names)  # a load balancer goes round: earlier answers stay good
    assert len(names.asked) == 2


@pytest.mark.parametrize("odd", ["shop", "0x7f.1", "2130706433", ""])
def test_what_is_not_an_address_is_refused_as_one(odd: str) -> None:
    with pytest.raises(TargetRefused, match="not an IP address"):
        LIST.check_address(odd, 80, no_names)


def test_the_other_side_is_refused_by_name_address_and_port_although_it_is_allowed() -> None:
    names = {"old.example": ["10.0.0.1"], "new.example": ["10.0.0.2"]}
    listed = AllowList(("*.a.example", "old.example", "new.example", "10.0.0.0/24"), (), ("old.example:80",))
    listed.check_url("http://new.example/")
    listed.check_address("10.0.0.2", 80, lambda name: names.get(name, []))
    listed.check_url("http://old.example:8080/")  # another service
    with pytest.raises(TargetRefused, match="is the other side's target: look for a redirect"):
        listed.check_url("http://old.example/")
    with pytest.raises(
        TargetRefused, match=r"10\.0\.0\.1:80 is old\.example, which is the other side's target\."
    ):
        listed.check_address("10.0.0.1", 80, lambda name: names.get(name, []))


@pytest.mark.parametrize(
    ("url", "other", "expected"),
    [
        ("http://127.0.0.1:8101", "http://127.0.0.1:8102/base", ("127.0.0.1:8102",)),
        ("https://127.0.0.1", "https://127.0.0.2", ("127.0.0.2:443",)),
        ("http://127.0.0.1:80", "http://[::1]:80", ("[::1]:80",)),
        ("http://127.0.0.1:80", "http://localhost:80", ()),  # a proxy that tells its targets apart by name
        ("http://127.0.0.1:80", "http://127.0.0.1:80", ()),
    ],
)
def test_each_side_keeps_off_the_others_unless_they_share_an_address(
    url: str, other: str, expected: tuple[str, ...]
) -> None:
    assert hosts_elsewhere(url, [other]) == expected
