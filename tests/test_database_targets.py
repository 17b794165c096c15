"""Databases as targets: allowed, up, staging and only read, or there is no load."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, make_url

from rehearse.allowlist import AllowList
from rehearse.config import effective_toml, load_settings, secrets_of
from rehearse.errors import ConfigError, NotReady, TargetRefused
from rehearse.inquiry import DatabaseInquiry
from rehearse.model import RunKind, Side
from rehearse.sides import hosts_elsewhere
from rehearse.targets import ManagedTarget, TargetSpec
from rehearse.wiring.dry_run import dry_run_lines
from rehearse.wiring.records import baseline_record
from tests.config.conftest import Project, with_tables

Make = Callable[..., ManagedTarget]
CANARY = "canary-4711-secret"
STAGING_HOST = "db.staging.test"


@pytest.fixture
def target(tmp_path: Path) -> Make:
    def make(url: str, allow: tuple[str, ...] = ("127.0.0.1",), **changes: Any) -> ManagedTarget:
        settings: dict[str, Any] = {
            "side": Side.CANDIDATE,
            "name": "candidate",
            "url": url,
            "headers": {},
            "ready": "/",
            "facts": None,
            "state": None,
            "prepare": None,
            "reset": None,
            "restart": None,
            "start": None,
            "ready_timeout_s": 0.5,
            "verify": True,
            "proof_header": "X-Rehearse-Env",
            "proof_value": "staging",
            "working_dir": tmp_path,
            "log_dir": tmp_path / "logs",
        }
        return ManagedTarget(TargetSpec(**{**settings, **changes}), AllowList(allow))

    return make


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    file = tmp_path / "shop.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("create table t (x)")
    return f"sqlite:///{file}"


def test_a_database_that_answers_select_1_is_ready_and_says_its_version(target: Make, sqlite: str) -> None:
    managed = target(sqlite)
    managed.check_allowed()
    managed.bring_up()
    assert managed.facts().facts == {"server_version": sqlite3.sqlite_version}


def test_a_command_adds_facts(target: Make, sqlite: str) -> None:
    command = (sys.executable, "-c", 'print(\'{"schema": "41"}\')')
    facts = target(sqlite, facts=command).facts().facts
    assert facts == {"server_version": sqlite3.sqlite_version, "schema": "41"}


def test_a_database_that_is_not_there_is_not_ready_and_is_not_made(target: Make, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"candidate.*shop\.db.*does not answer: unable to open"):
        target(f"sqlite:///{tmp_path / 'shop.db'}").bring_up()
    assert not (tmp_path / "shop.db").exists()


def test_a_server_that_is_not_there_is_not_ready_and_its_password_is_not_said(target: Make) -> None:
    with pytest.raises(NotReady, match=r"127\.0\.0\.1:9/shop.*does not answer") as error:
        target(f"postgresql://me:{CANARY}@127.0.0.1:9/shop").bring_up()
    assert CANARY not in str(error.value)


def test_a_database_that_is_not_listed_is_refused(target: Make) -> None:
    managed = target("postgresql://127.0.0.2/shop")
    with pytest.raises(TargetRefused, match=r"127\.0\.0\.2:5432 is not on the allow-list"):
        managed.check_allowed()
    with pytest.raises(TargetRefused, match=r"127\.0\.0\.2"):
        managed.bring_up()


# --- PostgreSQL itself


def alter(url: str, setting: str) -> None:
    with create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql(f'alter database "{make_url(url).database}" set {setting}')


def off_loopback(target: Make, url: str, **changes: Any) -> ManagedTarget:
    """The same server by a name that is not loopback's."""
    named = make_url(url).set(host=STAGING_HOST).render_as_string(hide_password=False)
    managed = target(named, (STAGING_HOST,), **changes)
    assert isinstance(managed._inquiry, DatabaseInquiry)
    managed._inquiry = replace(
        managed._inquiry, resolve=lambda name: {STAGING_HOST: ("127.0.0.1",)}.get(name, ())
    )
    return managed


def test_postgresql_off_loopback_proves_that_it_is_staging_by_a_setting(
    target: Make, postgres_url: str
) -> None:
    alter(postgres_url, "\"rehearse.env\" = 'staging'")
    managed = off_loopback(target, postgres_url)
    managed.check_allowed()
    managed.bring_up()
    assert managed.facts().facts["server_version"][0].isdigit()


@pytest.mark.parametrize(
    ("setting", "found"),
    [(None, "no such setting found"), ("\"rehearse.env\" = 'production'", "'production' found")],
    ids=["nothing", "something else"],
)
def test_postgresql_off_loopback_without_proof_is_refused_before_a_command_touches_it(
    target: Make, postgres_url: str, tmp_path: Path, setting: str | None, found: str
) -> None:
    if setting is not None:
        alter(postgres_url, setting)
    touch = (sys.executable, "-c", "open('touched', 'w')")
    with pytest.raises(TargetRefused, match=rf"'rehearse\.env = staging' expected, {found}"):
        off_loopback(target, postgres_url, prepare=touch, reset=touch, restart=touch).bring_up()
    assert not (tmp_path / "touched").exists()


def test_no_variable_fakes_the_proof(
    target: Make, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c rehearse.env=staging")
    with pytest.raises(TargetRefused, match="no such setting found"):
        off_loopback(target, postgres_url).bring_up()


@pytest.mark.parametrize("variable", ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE"])
def test_no_variable_leads_elsewhere(
    target: Make, postgres_url: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    target(postgres_url).bring_up()


# --- the configuration


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "shop.py").write_text("# a Locust file\n", encoding="utf-8")
    return Project(tmp_path)


def databases(
    old: str = "postgresql://db-old/shop", new: str = "postgresql://db-new/shop"
) -> tuple[str, str]:
    return f"[targets.baseline]\nurl = '{old}'", f"[targets.candidate]\nurl = '{new}'"


def test_a_database_password_is_a_secret(project: Project) -> None:
    url = "postgresql+psycopg://me:${DB_PASSWORD}@db-old/shop"
    tables = databases(url, "postgresql://me:other-secret@db-new/shop")
    settings = project.load(with_tables(*tables), {"DB_PASSWORD": CANARY})
    for shown in (effective_toml(settings), repr(settings), str(settings)):
        assert CANARY not in shown
        assert "other-secret" not in shown
    assert {CANARY, "other-secret"} <= set(secrets_of(settings))
    assert settings.target(Side.BASELINE).url == f"postgresql+psycopg://me:{CANARY}@db-old/shop"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{'x' * 80}{CANARY}@db/shop?service=x",
        f"postgresql://me:{CANARY}{'x' * 80}@db",
        f"postgresql://me:{CANARY}",
        f"postgres://me:{CANARY}@db/shop",
        f"http://me:{CANARY}{'x' * 80}@shop",
    ],
)
def test_a_mistake_in_a_url_does_not_show_its_password(project: Project, url: str) -> None:
    [line] = project.mistakes(with_tables(f"[targets.baseline]\nurl = '{url}'"))
    assert "targets.baseline.url: " in line
    assert "canary" not in line


def test_a_relative_sqlite_path_is_relative_to_the_configuration(project: Project) -> None:
    settings = project.load(with_tables(*databases("sqlite:///old.db", "sqlite:////data/new.db")))
    assert settings.target(Side.BASELINE).url == f"sqlite:///{project.root}/old.db"
    assert settings.target(Side.CANDIDATE).url == "sqlite:////data/new.db"
    assert 'url = "sqlite:///old.db"' in effective_toml(settings)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ((databases()[0],), "targets: baseline is a database and the other is not"),
        (databases("postgresql://a,b/shop"), "targets.baseline.url: the value names a host that"),
        (
            databases("postgresql://db/shop?service=x"),
            "targets.baseline.url: the value has the parameter 'service'",
        ),
        ((*databases(), "[targets.baseline.headers]\nA = 'some'"), "targets.baseline.headers: are for HTTP"),
        ((*databases(), "[targets.baseline.tls]\nverify = false"), "targets.baseline.tls: is for HTTP"),
        ((f"{databases()[0]}\nready = '/up'", databases()[1]), "targets.baseline.ready: is for HTTP"),
        ((f"{databases()[0]}\nfacts = '/version'", databases()[1]), "targets.baseline.facts: is a path"),
        (
            databases("mysql+pymysql://db:3306/shop"),
            "targets.baseline.url: mysql cannot be kept to reads as PostgreSQL and SQLite can",
        ),
        (databases(new="postgresql://db-old/shop"), "is both sides"),
    ],
)
def test_what_a_database_cannot_have_is_a_mistake(
    project: Project, tables: tuple[str, ...], said: str
) -> None:
    assert said in "\n".join(project.mistakes(with_tables(*tables)))


def test_other_databases_are_accepted_with_side_effects(project: Project) -> None:
    tables = databases("mysql+pymysql://db:3306/shop", "mysql+pymysql://db:3307/shop")
    project.load(with_tables(*tables, "[safety]\nside_effects = true"))


def test_a_dry_run_shows_no_password(project: Project) -> None:
    tables = databases(*(f"postgresql://me:{CANARY}@127.0.0.1:{port}/shop" for port in (5433, 5434)))
    lines = dry_run_lines(project.load(with_tables(*tables, "[safety]\nallow = ['127.0.0.1']")))
    assert "baseline: postgresql://127.0.0.1:5433/shop" in lines
    assert CANARY not in "\n".join(lines)


def test_databases_of_one_server_cannot_be_told_apart_by_connections_and_others_can() -> None:
    assert hosts_elsewhere("postgresql://127.0.0.1/a", ["postgresql://127.0.0.1/b"]) == ()
    assert hosts_elsewhere("postgresql://127.0.0.1/a", ["postgresql://127.0.0.1:5433/a"]) == (
        "127.0.0.1:5433",
    )
    assert hosts_elsewhere("sqlite:///a.db", ["postgresql://127.0.0.1/b"]) == ()
    assert hosts_elsewhere("postgresql://127.0.0.1/a", ["sqlite:///a.db"]) == ()


def test_other_statements_or_parameters_are_other_conditions(project: Project) -> None:
    (project.root / "shop.py").write_text("class Shop(SqlUser):\n    statements = 's.toml'\n")
    (project.root / "s.toml").write_text(
        "[[statements]]\nname = 'a'\nsql = 'select :id'\nparameters = 'ids.csv'\n"
    )
    digests = set()
    for ids in ("id\n1\n", "id\n2\n"):
        (project.root / "ids.csv").write_text(ids)
        settings = load_settings(project.write(with_tables(*databases())), {}, {})
        digests.add(provenance(settings)["scenario.shop.statements"])
    assert len(digests) == 2
    assert "rig.sqlalchemy" in provenance(settings)
    assert "rig.sqlalchemy" not in provenance(project.load())


def provenance(settings: Any) -> dict[str, str]:
    from datetime import UTC, datetime

    record = baseline_record(settings, datetime(2026, 1, 1, tzinfo=UTC), "default", "test")
    assert record.kind is RunKind.BASELINE
    return dict(record.provenance)


def test_wrong_statements_are_named_before_anything_is_started(project: Project) -> None:
    (project.root / "shop.py").write_text("class Shop(SqlUser):\n    statements = 's.toml'\n")
    (project.root / "s.toml").write_text("[[statements]")
    with pytest.raises(ConfigError, match=r"s\.toml: is not valid TOML"):
        provenance(project.load(with_tables(*databases())))
