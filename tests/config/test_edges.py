"""`[edges]`: what cannot be meant is refused before anything is loaded, with the nearest valid word."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from rehearse.config import effective_toml, secrets_of
from rehearse.config.edges import ClientCase, DateCase, FaultCase, RetryCaseSettings
from rehearse.edge_cases.faults import CLIENTS_DO, DOES
from rehearse.edge_cases.probes import RETRIES
from rehearse.edge_cases.running import kinds_of
from rehearse.edges.toxics import ToxicType
from rehearse.errors import ConfigError
from rehearse.instants import Format
from tests.config.conftest import SMALLEST, Project, with_tables

EFFECTS = with_tables('[safety]\nallow = ["127.0.0.1"]\nside_effects = true')
FAULT = '\n[[edges.faults]]\nid = "hang"\nwhy = "it hung"\ntoxic = "timeout"\n'
DATE = '\n[[edges.dates]]\nid = "leap"\nwhy = "it broke"\npath = "/sales?day={instant}"\n'
RETRY = (
    '\n[[edges.retries]]\nid = "once"\nwhy = "paid twice"\npath = "/orders"\nbody = "{}"\n'
    'count = { path = "/count?key={key}" }\n'
)
CLIENTS = '\n[[edges.clients]]\nid = "slow"\nwhy = "it starved"\nmanner = "slow-body"\npath = "/"\n'
CLOCK = '\n[[edges.clocks]]\nid = "midnight"\nwhy = "it stopped"\nacross = 2028-02-29T00:00:00Z\npaths = ["/report"]\n'
DEPENDENCY = """
[edges.dependencies.database]
baseline = { listen = "127.0.0.1:8201", upstream = "127.0.0.1:5432" }
candidate = { listen = "127.0.0.1:8202", upstream = "127.0.0.1:5432" }
"""


def test_one_case_of_each_family_is_planned_with_its_reason(project: Project) -> None:
    settings = project.load(EFFECTS + FAULT + DATE + RETRY)
    planned = [kind.planned for kind in kinds_of(settings)]
    assert [(one.case_id, str(one.family)) for one in planned] == [
        ("leap", "date"),
        ("once", "retry"),
        ("hang", "timeout"),
    ]
    assert all(one.is_required for one in planned)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FAULT.replace('"timeout"', '"timout"'), "faults[0].toxic: 'timout' is not allowed. Did you mean 'timeout'?"),
        (FAULT + 'familly = "timeout"\n', "edges.faults[0].familly: is an unknown key. Did you mean 'family'?"),
        (FAULT + 'on = "databse"\n' + DEPENDENCY, "Did you mean 'database'?"),
        (FAULT + "lasts = 2\n", "edges.faults[0].lasts: 2 has no unit; write '2s'"),
        (FAULT + FAULT, "2 cases have the id 'hang'"),
        (DATE.replace("{instant}", "today"), "every instant would be the same request"),
        (DATE + 'formats = ["dat"]\n', "Did you mean 'date'?"),
        (DATE + 'method = "POST"\n', "safety.side_effects = true is needed"),
        (CLIENTS, "it is a POST: safety.side_effects = true is needed"),
        (CLIENTS.replace("slow-body", "slow-boddy"), "Did you mean 'slow-body'?"),
        (RETRY, "safety.side_effects = true is needed"),
        (RETRY.replace('"once"', '"once"\nsend = "no-key"'), "counts by key, and `no-key` has none"),
        (RETRY.replace('"once"', '"once"\nsend = "other-payload"'), "other_body: is missing"),
        (RETRY.replace('path = "/count?key={key}"', 'value = "n"'), "needs either path"),
        (RETRY.replace('path = "/count?key={key}"', 'sql = "select 1"'), "count.baseline: is missing"),
        (CLOCK.replace("00:00Z", "00:00"), "write it with its offset, like 2028-02-29T00:00:00Z"),
        (CLOCK.replace("2028-02-29T", "2027-02-29T"), "is not valid TOML"),
        (CLOCK.replace('["/report"]', "[]"), "edges.clocks[0].paths: [] is empty: nothing would be asked"),
        (CLOCK.replace("across", "accross"), "Did you mean 'across'?"),
        (FAULT + 'on = "database"\n[edges.dependencies.database]\n', "that side has no fault proxy"),
        (
            '[edges.dependencies.cache]\nbaseline = { listen = "127.0.0.1:1", upstream = "127.0.0.1:2" }\n',
            "edges.dependencies.cache.candidate: is missing: that side has no fault proxy",
        ),
        (FAULT + 'on = "database"\n' + DEPENDENCY.replace(":8201", ""), "write it like '127.0.0.1:5432'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_named(project: Project, text: str, expected: str) -> None:
    assert any(expected in line for line in project.mistakes(SMALLEST + text))


def test_a_clock_case_reads_instants_of_toml_and_of_texts(project: Project) -> None:
    for written in ("2028-02-29T00:00:00Z", '"2028-02-29T01:00:00+01:00"'):
        settings = project.load(SMALLEST + CLOCK.replace("2028-02-29T00:00:00Z", written))
        (case,) = settings.edges.clocks
        assert datetime.fromisoformat(case.across) == datetime(2028, 2, 29, tzinfo=UTC)
        assert case.across in effective_toml(settings)


def test_a_toxic_with_an_unknown_attribute_is_refused_with_its_case(project: Project) -> None:
    settings = project.load(SMALLEST + FAULT + "attributes = { timeoot = 5 }\n")
    with pytest.raises(ConfigError, match=r"edges.faults 'hang': .*Did you mean 'timeout'"):
        kinds_of(settings)


def test_a_database_has_no_edge_cases(project: Project) -> None:
    text = (SMALLEST + FAULT).replace("http://127.0.0.1:810", "postgresql://u@127.0.0.1/shop")
    assert any("is for HTTP, and a target is a database" in line for line in project.mistakes(text))


def test_what_a_login_sends_is_shown_nowhere(project: Project) -> None:
    login = '\n[edges.login]\npath = "/login"\nbody = \'{"password": "hunter2-of-the-clerk"}\'\n'
    settings = project.load(SMALLEST + login + DATE)
    assert "hunter2" not in effective_toml(settings)
    assert "hunter2" not in repr(settings)
    assert any("hunter2" in secret for secret in secrets_of(settings))


def test_every_word_has_a_meaning() -> None:
    toxics = get_args(FaultCase.model_fields["toxic"].annotation)
    assert set(toxics) == {kind.value for kind in ToxicType} == {kind.value for kind in DOES}
    assert set(get_args(ClientCase.model_fields["manner"].annotation)) == {one.value for one in CLIENTS_DO}
    assert set(get_args(RetryCaseSettings.model_fields["send"].annotation)) == set(RETRIES)
    (formats, _) = get_args(DateCase.model_fields["formats"].annotation)
    assert set(get_args(formats)) == {form.value for form in Format}


def test_the_examples_of_the_page_load(project: Project) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "edges.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    settings = project.load(EFFECTS + "".join(examples), {"PASSWORD": "hunter2"})
    assert len(kinds_of(settings)) == 5
