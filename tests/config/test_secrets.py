"""A secret never leaves: not in a message, not in a repr, not in what is stored of the configuration."""

from __future__ import annotations

import base64

import pytest

from rehearse.config import effective_toml, load_settings, policy_hash, secrets_of
from rehearse.config.redaction import redact_argv
from rehearse.errors import ConfigError
from rehearse.redaction import redact
from tests.config.conftest import Project, with_tables

CANARY = "canary-4711-secret"
BASIC = base64.b64encode(f"user:{CANARY}".encode()).decode()

PLACES = {
    "a header": ("[targets.baseline.headers]\nAuthorization = 'Bearer canary-4711-secret'", {}),
    "a header from a variable": ("[targets.baseline.headers]\nX = '${ANY}'", {"ANY": CANARY}),
    "basic authentication": (f"[targets.baseline.headers]\nAuthorization = 'Basic {BASIC}'", {}),
    "a header by a REHEARSE_ variable": (
        "[targets.baseline.headers]\nX = 'other'",
        {"REHEARSE_TARGETS__BASELINE__HEADERS__X": CANARY},
    ),
    "the store's password": (f"[store]\nurl = 'postgresql+psycopg://me:{CANARY}@db.example/rehearse'", {}),
    "the store by a variable": ("", {"REHEARSE_STORE__URL": f"postgresql+psycopg://me:{CANARY}@db/x"}),
    "a command with a URL": (
        f"[targets.baseline]\nurl = 'http://a'\nstart = ['run', '--database=postgresql://me:{CANARY}@db/x']",
        {},
    ),
    "a command with an option": (
        f"[targets.baseline]\nurl = 'http://a'\nreset = ['run', '--api-token', '{CANARY}']",
        {},
    ),
    "a command with an option and =": (
        f"[targets.baseline]\nurl = 'http://a'\nfacts = ['run', '--password={CANARY}']",
        {},
    ),
    "a variable with a telling name": (
        "[targets.baseline]\nurl = 'http://a'\nprepare = ['run', 'x${DB_PASSWORD}x']",
        {"DB_PASSWORD": CANARY},
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_shows_nowhere_and_is_known_to_whoever_scrubs(project: Project, place: str) -> None:
    table, env = PLACES[place]
    settings = project.load(with_tables(*filter(None, [table])), env)
    for shown in (effective_toml(settings), repr(settings), str(settings), policy_hash(settings)):
        assert CANARY not in shown
        assert BASIC not in shown
    assert CANARY in secrets_of(settings)


MISTAKEN = [
    ("[targets.baseline]\nurl = 'http://user:canary-4711-secret@shop/'", {}),
    ("[targets.baseline]\nurl = 'http://user:p/a@canary-4711-secret@shop/'", {}),
    ("[targets.baseline]\nurl = '${URL}'", {"URL": f"http://user:{CANARY}@shop/"}),
    ("[targets.baseline.headers]\nA = ['canary-4711-secret']", {}),
    ("[targets.baseline]\nurl = 'http://a'\nheaders = 'canary-4711-secret'", {}),
    ('[targets.baseline.headers]\nA = "canary-4711-secret\\n"', {}),
    ("[targets.baseline.headers]\n'a b' = 'canary-4711-secret'", {}),
    ("[targets.baseline.headerz]\nA = 'canary-4711-secret'", {}),
    ("[store]\nurl = 'canary-4711-secret'", {}),
    ("[store]\nurl = ['canary-4711-secret']", {}),
    ("[store]\nurll = 'canary-4711-secret'", {}),
    ("title = 5", {"REHEARSE_STORE__URL": CANARY}),
    ("title = 5", {"REHEARSE_TARGETS__BASELINE__HEADERS": CANARY}),
    ("title = 5", {"REHEARSE_TARGETS": f"{{a = '{CANARY}'}}"}),
    ("title = 5", {"REHEARSE_STOREURL": CANARY}),
    ("title = 5\nmode = '${TOKEN}'", {"TOKEN": CANARY}),
    ("[targets.baseline]\nurl = 'http://a'\nstart = 'run ${MY_SECRET}'", {"MY_SECRET": CANARY}),
]


@pytest.mark.parametrize(("table", "env"), MISTAKEN, ids=[table for table, _ in MISTAKEN])
def test_a_message_about_a_secret_does_not_show_it(project: Project, table: str, env: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as error:
        project.load(with_tables(table), env)
    chain: BaseException | None = error.value
    while chain is not None:
        assert CANARY not in str(chain)
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)


def test_an_option_that_names_a_secret_is_refused_without_showing_it(project: Project) -> None:
    overrides = {"targets.baseline.headers": CANARY, "store.url": CANARY, "load.rate": "x"}
    with pytest.raises(ConfigError) as error:
        load_settings(project.write(with_tables()), {}, overrides)
    assert CANARY not in str(error.value)


def test_public_headers_and_short_values_are_no_secrets_to_scrub(project: Project) -> None:
    headers = "Accept = 'application/json'\nUser-Agent = 'rehearse/1'\nX-Env = 'abc'"
    settings = project.load(with_tables(f"[targets.baseline.headers]\n{headers}"))
    assert secrets_of(settings) == ()
    assert "application/json" not in effective_toml(settings)


def test_secrets_are_replaced_longest_first(project: Project) -> None:
    headers = "A = 'Bearer longer-secret'\nB = 'longer'"
    settings = project.load(with_tables(f"[targets.baseline.headers]\n{headers}"))
    assert secrets_of(settings) == ("Bearer longer-secret", "longer-secret", "longer")
    assert redact("x longer-secret y longer", secrets_of(settings)) == "x *** y ***"


def test_a_password_is_known_as_it_is_written_and_as_it_is_meant(project: Project) -> None:
    settings = project.load(with_tables("[store]\nurl = 'postgresql://me:p%40ss%2Fword@db/x'"))
    assert secrets_of(settings) == ("p%40ss%2Fword", "p@ss/word")
    assert 'url = "postgresql://***@db/x"' in effective_toml(settings)


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (("run", "--token", "abc", "--verbose"), ("run", "--token", "***", "--verbose")),
        (("run", "--token=abc=def", "x"), ("run", "--token=***", "x")),
        (("run", "--token", "--verbose"), ("run", "--token", "--verbose")),
        (("run", "-p", "80", "--keyring"), ("run", "-p", "80", "--keyring")),
        (("run", "token", "abc"), ("run", "token", "abc")),
    ],
)
def test_a_command_is_shown_without_what_its_secret_options_carry(
    argv: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    assert redact_argv(argv) == shown
