"""Secrets are recognised by name and by shape, and what is none is left alone."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearse.replay.naming import function_name, route_name, unique_names
from rehearse.replay.recording import Body
from rehearse.replay.scrubbing import SCRUBBED, Scrubber, is_secret_name, is_secret_value

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"


@pytest.mark.parametrize(
    "name",
    "token access_token accessToken X-Api-Key apikey api_key password userPassword PHPSESSID session_id sid"
    " client-secret x-csrf-token XSRF-TOKEN Authorization sig X-Amz-Signature nonce oauth_signature".split(),
)
def test_a_secret_goes_by_its_name(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", "category page author tokenize keyword monkey compass assignment key code".split()
)
def test_a_name_that_only_sounds_like_it_is_none(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "value",
    [
        JWT,
        "Bearer abc",
        "Basic dXNlcjpwYXNz",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "AKIAIOSFODNN7EXAMPLE",
        "d41d8cd98f00b204e9800998ecf8427e",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1",
        "4111 1111 1111 1111",
        "5500005555555559",
    ],
)
def test_a_secret_is_known_by_its_shape(value: str) -> None:
    assert is_secret_value(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "tea",
        "2028-02-29T12:00:00Z",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",  # an id
        "1234567890123",  # no card: the sum is wrong
        "0000000000000000",
        "a-very-long-slug-of-an-article-about-upgrades",
        "internationalization_of_everything",
    ],
)
def test_what_is_no_secret_is_left_alone(value: str) -> None:
    assert not is_secret_value(value)


def test_a_path_keeps_its_form_and_loses_its_secrets() -> None:
    scrubber = Scrubber()
    path = scrubber.path(
        f"/reset/{JWT}/step;jsessionid=AB12?page=2&q=a%20b+c&token=abc&x={JWT}&flag&token=#top"
    )
    assert path == f"/reset/{SCRUBBED}/step?page=2&q=a%20b+c&token={SCRUBBED}&x={SCRUBBED}&flag&token="
    assert scrubber.counts == {"path": 1, "path parameter": 1, "query token": 1, "query x": 1}


def test_headers_are_those_that_a_person_would_write_and_no_secrets() -> None:
    scrubber = Scrubber()
    kept = scrubber.headers(
        {
            "Authorization": "Bearer abc",
            "Cookie": "a=b",
            "X-Api-Key": "short",
            "X-Odd": JWT,
            "User-Agent": "Firefox",
            ":authority": "shop",
            "Sec-Fetch-Mode": "cors",
            "Accept": "application/json",
            "X-Requested-With": "XMLHttpRequest",
        }
    )
    assert kept == {"Accept": "application/json", "X-Requested-With": "XMLHttpRequest"}
    assert scrubber.counts == {
        "header authorization": 1,
        "header cookie": 1,
        "header x-api-key": 1,
        "header x-odd": 1,
    }
    assert scrubber.headers({"accept": "text/html,application/xml;q=0.9"}) == {}


def test_bodies_are_scrubbed_at_every_depth() -> None:
    scrubber = Scrubber()
    text = f'{{"user": "ann", "password": "p", "pin": 1234, "deep": [{{"token": "t", "n": 1.5}}, "{JWT}"]}}'
    assert scrubber.body(text, "application/json; charset=utf-8") == Body(
        json={
            "user": "ann",
            "password": SCRUBBED,
            "pin": 0,
            "deep": [{"token": SCRUBBED, "n": 1.5}, SCRUBBED],
        }
    )
    assert scrubber.body("user=ann&password=p%26&empty=", "application/x-www-form-urlencoded") == Body(
        text=f"user=ann&password={SCRUBBED}&empty="
    )
    assert scrubber.body("not JSON", "application/json") is None
    assert scrubber.body("--x", "multipart/form-data; boundary=x") is None


def test_what_is_below_a_secrets_name_is_secret_whatever_it_is_called_itself() -> None:
    scrubber = Scrubber()
    text = '{"password": {"value": "hunter2", "tries": [3, "x"], "old": true}, "order": {"value": "tea"}}'
    assert scrubber.body(text, "application/json") == Body(
        json={
            "password": {"value": SCRUBBED, "tries": [0, SCRUBBED], "old": True},
            "order": {"value": "tea"},
        }
    )


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/go?next=%2Flogin%3Ftoken%3Dabc%26page%3D2", f"/go?next=/login%3Ftoken%3D{SCRUBBED}%26page%3D2"),
        ("/go?redirect_uri=https%3A%2F%2Fu%3Apw%40h%2Fa", "/go?redirect_uri=https%3A//h/a"),
        (
            "/go?to=https%3A%2F%2Fh%2F%23access_token%3Dabc",
            f"/go?to=https%3A//h/%23access_token%3D{SCRUBBED}",
        ),
        ("/go?to=%2Fapp%23%2Fin%3Fpin%3D12", f"/go?to=/app%23/in%3Fpin%3D{SCRUBBED}"),
        ("/go/https%3A%2F%2Fu%3Apw%40h", "/go/https%3A%2F%2Fh"),
        (f"/go?to=%2Freset%2F{JWT}", f"/go?to=/reset/{SCRUBBED}"),
        ("/auth/callback?code=abc&page=2", f"/auth/callback?code={SCRUBBED}&page=2"),
        ("/back?code=abc&state=x", f"/back?code={SCRUBBED}&state=x"),
        # what is no secret is left as it was written
        (
            "/go?next=%2Flist%3Fpage%3D2%26q%3Da%2520b&why=what%3F",
            "/go?next=%2Flist%3Fpage%3D2%26q%3Da%2520b&why=what%3F",
        ),
        ("/prices?code=EUR", "/prices?code=EUR"),
        ("/mail?to=ann%40shop.example", "/mail?to=ann%40shop.example"),
    ],
)
def test_urls_inside_of_urls_lose_their_secrets_too(path: str, left: str) -> None:
    assert Scrubber().path(path) == left


def test_urls_and_codes_in_bodies_and_headers_lose_their_secrets_too() -> None:
    scrubber = Scrubber()
    form = "grant_type=authorization_code&code=abc&redirect_uri=https%3A%2F%2Fu%3Apw%40h"
    assert scrubber.body(form, "application/x-www-form-urlencoded") == Body(
        text=f"grant_type=authorization_code&code={SCRUBBED}&redirect_uri=https%3A%2F%2Fh"
    )
    text = '{"client_id": "shop", "code": "abc", "hook": "https://u:pw@h/in?sig=1", "zip": {"code": "10115"}}'
    assert scrubber.body(text, "application/json") == Body(
        json={
            "client_id": "shop",
            "code": SCRUBBED,
            "hook": f"https://h/in?sig={SCRUBBED}",
            "zip": {"code": "10115"},
        }
    )
    assert scrubber.headers({"X-Back": "https://u:pw@h/?token=a"}) == {
        "X-Back": f"https://h/?token={SCRUBBED}"
    }
    assert scrubber.counts["user and password of a URL"] == 3


@pytest.mark.parametrize("inner", ["?a=", "%3Fa%3D", "/", "%2F", "#a="])
def test_what_is_nested_without_an_end_is_taken_out_and_ends(inner: str) -> None:
    for _ in range(8):
        inner += quote(inner[:2_000])
    path = Scrubber().path(f"/a?b=/{inner * 50}?token=s3cret")
    assert "s3cret" not in path


@given(
    secret=st.sampled_from([JWT, "sk_live_4eC39HqLyjWDarjtT1zdp7dc"]),
    name=st.from_regex(r"[a-z]{1,10}", fullmatch=True),
)
def test_wherever_a_secret_stands_neither_it_nor_a_part_of_it_stays(secret: str, name: str) -> None:
    scrubber = Scrubber()
    left = [
        scrubber.path(f"/a/{secret}?{name}={secret}&{secret}={secret}"),
        str(scrubber.headers({name: secret})),
        str(scrubber.body(f'{{"{name}": ["{secret}"]}}', "application/json")),
        str(scrubber.counts),
    ]
    assert not any(secret in text for text in left[1:])
    assert secret not in left[0].replace(f"&{secret}={SCRUBBED}", "")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/products/17?page=2", "/products/[id]"),
        ("/", "/"),
        ("/a/3f2504e0-4f89-41d3-9a0c-0305e82c3301/b", "/a/[id]/b"),
        ("/reports/2028-02-29", "/reports/[date]"),
        ("/img/123.png", "/img/[id].png"),
        ("/static/main.css", "/static/main.css"),
        ("/v2/facade", "/v2/facade"),
        ("/o/507f1f77bcf86cd799439011", "/o/[id]"),
        ("/u/SCRUBBED", "/u/[id]"),
        ("/odd/%0a%00x", "/odd/??x"),
    ],
)
def test_a_route_has_one_name(path: str, name: str) -> None:
    assert route_name(path) == name


@given(st.lists(st.text()))
def test_function_names_are_names_and_each_is_there_once(words: list[str]) -> None:
    names = unique_names(function_name(word) for word in words)
    assert all(name.isidentifier() and name.isascii() for name in names)
    assert len(set(names)) == len(words)
