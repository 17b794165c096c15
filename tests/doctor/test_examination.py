"""`rehearse doctor` says "ready" only when everything that a rehearsal needs was seen; else it says what to fix."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rehearse.checks.orders import CheckMessage, Collected
from rehearse.checks.runner import ScriptedRunner
from rehearse.config import Settings, load_settings
from rehearse.doctor.answering import look_findings
from rehearse.doctor.examination import Tools, examine
from rehearse.doctor.findings import Examination, Grade
from rehearse.doctor.rig import Rig, rig_findings
from rehearse.doctor.trial import JOURNEYS, USERS
from rehearse.edges import clock
from rehearse.errors import ConfigError, TargetRefused
from rehearse.holding import holding
from rehearse.inquiry import Look
from rehearse.load.engine import LoadEvent, ScriptedSession, Trouble
from rehearse.load.orders import LoadOrder
from rehearse.model import CheckOutcome, CheckResult, Incident, ReasonCode, Severity, Side
from rehearse.progress import Silence
from rehearse.store.records import Store
from tests.doctor.trials import block, final, script
from tests.project import Project, make_project
from tests.servers import Site, free_port, serving

NOTHING: Mapping[str, object] = {}
GOOD_RIG = Rig(cores=8, load_average=0.1, open_files=4096, governor=None)


@dataclass
class Engine:
    """Plays one trial back, or refuses it."""

    played: Sequence[LoadEvent] = field(default_factory=script)
    error: Exception | None = None
    orders: list[LoadOrder] = field(default_factory=list)

    def start(self, order: LoadOrder) -> ScriptedSession:
        self.orders.append(order)
        if self.error is not None:
            raise self.error
        return ScriptedSession(self.played)


@dataclass
class Case:
    """One project with two sides that answer."""

    project: Project
    baseline: Site
    candidate: Site

    def settings(self, changes: Mapping[str, object]) -> Settings:
        return load_settings(self.project.root / "rehearse.toml", {}, changes)

    def examine(
        self,
        engine: Engine | None = None,
        changes: Mapping[str, object] = NOTHING,
        rig: Rig = GOOD_RIG,
        checks: Sequence[CheckMessage] = (),
    ) -> Examination:
        runner = ScriptedRunner([checks])
        tools = Tools(engine or Engine(), Silence(), lambda: datetime.now(UTC), lambda: rig, runner)
        return examine(self.settings(changes), tools)

    def add_check(self, source: str) -> None:
        folder = self.project.root / "checks"
        folder.mkdir()
        (folder / "test_one.py").write_text(source)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with serving() as baseline, serving() as candidate:
        yield Case(make_project(tmp_path, baseline.url, candidate.url), baseline, candidate)


def to_fix(found: Examination) -> list[str]:
    assert found.is_ready is not any(one.grade is Grade.FIX for one in found.examined)
    return [
        f"{one.subject}: {one.sentence} -> {one.remedy}" for one in found.examined if one.grade is Grade.FIX
    ]


def notes(found: Examination) -> list[str]:
    return [str(one.subject) for one in found.examined if one.grade is Grade.NOTE]


def test_without_a_baseline_it_says_how_to_go_on(case: Case) -> None:
    (said,) = [one.sentence for one in case.examine().examined if "baseline is named" in one.sentence]
    assert "rehearse compare --without-baseline" in said


def test_one_side_alone_is_not_ready_without_a_recording(case: Case) -> None:
    (line,) = to_fix(case.examine(changes={"mode": "recorded"}))
    assert "no baseline is named 'default'" in line
    assert "--without-baseline" not in line


def test_with_everything_in_place_it_is_ready_and_proposes(case: Case) -> None:
    found = case.examine()
    assert found.is_ready
    assert found.lines[-1].startswith("ready")
    assert [one.key for one in found.proposals][:4] == [
        "load.rate",
        "load.budget",
        "load.users",
        "judge.floor",
    ]
    assert notes(found) == ["store"], "there is no baseline yet"


def test_what_would_leave_a_clock_case_not_run_is_said(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "FAKETIME", "faketime-that-is-not-there")
    clocks = {"id": "x", "why": "y", "across": "2028-02-29T00:00:00Z", "paths": ["/look"]}
    found = case.examine(changes={"edges.clocks": [clocks]})
    said = [one.sentence for one in found.examined if "edges.clocks" in one.sentence]
    assert [("has no `start`" in one, "libfaketime is not there" in one) for one in said] == [
        (True, False),
        (True, False),
        (False, True),
    ]
    assert found.is_ready  # the rest can be rehearsed


def test_the_journeys_are_few_evenly_spaced_and_made_by_few_users(case: Case) -> None:
    engine = Engine()
    case.examine(engine, {"load.users": 200, "load.workers": 4})
    (order,) = engine.orders
    assert sum(order.schedule.planned()) == JOURNEYS
    assert (order.users, order.workers, order.sampling) == (USERS, 1, None)
    assert {one.side for one in order.sides} == set(Side)


@pytest.mark.parametrize("side", list(Side))
def test_a_side_that_does_not_answer_is_named_and_nothing_is_sent(case: Case, side: Side) -> None:
    engine = Engine()
    found = case.examine(engine, {f"targets.{side}.url": "http://127.0.0.1:9"})
    (line,) = to_fix(found)
    assert line.startswith(f"{side}: ")
    assert f"start it, or correct targets.{side}.url" in line
    assert engine.orders == []
    assert found.proposals == ()


@pytest.mark.parametrize(("status", "said"), [(401, "no credentials are configured"), (503, "not well")])
def test_an_answer_that_is_a_refusal_is_said_plainly(case: Case, status: int, said: str) -> None:
    case.candidate.status = status
    (line,) = to_fix(case.examine())
    assert said in line


def test_wrong_credentials_are_told_apart_from_missing_ones(case: Case) -> None:
    case.project.edit(
        "[safety]", '[targets.candidate.headers]\nAuthorization = "Bearer canary-7431"\n\n[safety]'
    )
    case.candidate.status = 403
    found = case.examine()
    (line,) = to_fix(found)
    assert "wrong or expired" in line
    assert "canary-7431" not in "\n".join(found.lines)


def test_a_command_that_tells_no_token_is_named_before_anything_is_asked(case: Case) -> None:
    case.project.edit("[safety]", '[targets.candidate.auth]\ncommand = ["false"]\n\n[safety]')
    (line,) = to_fix(case.examine())
    assert "the auth command 'false' ended with exit code 1" in line
    assert case.candidate.connections == 0


@pytest.mark.parametrize(("status", "location"), [(404, None), (302, "/login")])
def test_a_ready_path_that_says_nothing_is_worth_a_note(
    case: Case, status: int, location: str | None
) -> None:
    case.candidate.status, case.candidate.location = status, location
    found = case.examine()
    assert found.is_ready
    assert notes(found) == ["store", "candidate"]


def test_a_clock_that_is_wrong_is_a_note(case: Case) -> None:
    tools = Tools(Engine(), Silence(), lambda: datetime(2020, 1, 1, tzinfo=UTC), lambda: GOOD_RIG)
    found = examine(case.settings({}), tools)
    assert [one.sentence for one in found.examined if "clock" in one.sentence and "ahead" in one.sentence]


def test_a_clock_in_a_year_that_no_calendar_has_says_nothing(case: Case) -> None:
    look = Look(200, "1 Jan 99999999999999999999 00:00:00 GMT", "", 0.01)
    (found,) = look_findings("candidate", case.settings({}).target(Side.CANDIDATE), look, datetime.now(UTC))
    assert found.grade is Grade.OK


def test_a_host_that_is_not_listed_is_not_even_asked(case: Case) -> None:
    case.project.edit('allow = ["127.0.0.1"]', 'allow = ["elsewhere.example"]')
    engine = Engine()
    (line,) = to_fix(case.examine(engine))
    assert line.startswith("safety: ")
    assert (case.baseline.connections, case.candidate.connections, engine.orders) == (0, 0, [])


def test_a_store_that_cannot_be_written_is_named_before_anything_is_asked(case: Case) -> None:
    (case.project.root / "file").write_text("")
    (line,) = to_fix(case.examine(changes={"store.url": "sqlite:///file/below/a-file.db"}))
    assert line.startswith("store: ")
    assert case.baseline.connections == 0


def test_while_somebody_else_loads_a_target_nothing_is_sent(case: Case) -> None:
    settings = case.settings({})
    with Store.open(settings.store_url) as store, holding(store, [case.baseline.url], "theirs"):
        (line,) = to_fix(case.examine())
    assert "theirs" in line
    assert case.baseline.connections == 0


def test_a_scenario_that_writes_without_leave_is_told_how_to_get_it(case: Case) -> None:
    refusal = TargetRefused("a scenario sends POST, but without safety.side_effects = true only GET is sent")
    (line,) = to_fix(case.examine(Engine(error=refusal)))
    assert "set safety.side_effects = true" in line


def test_a_scenario_that_cannot_be_run_is_a_finding(case: Case) -> None:
    (line,) = to_fix(case.examine(Engine(error=ConfigError("the scenario cannot be run: SyntaxError"))))
    assert line.startswith("scenario: ")


@pytest.mark.parametrize("missing", list(Side))
def test_a_side_of_which_no_block_came_is_not_ready(case: Case, missing: Side) -> None:
    found = case.examine(Engine(script(blocks=[block(side) for side in Side if side is not missing])))
    assert [line.split(":")[0] for line in to_fix(found)] == [missing]
    assert found.proposals == ()


@pytest.mark.parametrize("missing", list(Side))
def test_a_side_without_a_closing_account_is_not_ready(case: Case, missing: Side) -> None:
    found = case.examine(Engine(script(finals=[final(side) for side in Side if side is not missing])))
    assert [line.split(":")[0] for line in to_fix(found)] == [missing]


def test_a_lost_load_generator_is_not_ready(case: Case) -> None:
    trouble = Trouble(Incident(ReasonCode.WORKER_LOST, "it was killed by SIGKILL"))
    assert to_fix(case.examine(Engine([*script(), trouble])))


def test_a_baseline_that_fails_is_to_be_mended_and_a_candidate_is_what_a_rehearsal_is_for(case: Case) -> None:
    sick = {side: block(side, failed=4, kind="HTTP 401") for side in Side}
    well = {side: block(side) for side in Side}
    (line,) = to_fix(case.examine(Engine(script([sick[Side.BASELINE], well[Side.CANDIDATE]]))))
    assert "4 x GET /look: HTTP 401" in line
    assert "credentials" in line
    found = case.examine(Engine(script([well[Side.BASELINE], sick[Side.CANDIDATE]])))
    assert found.is_ready
    assert notes(found) == ["store", "candidate"]


def test_users_that_cannot_log_in_are_to_be_mended(case: Case) -> None:
    finals = [final(Side.BASELINE, 8, 8), final(Side.CANDIDATE, 8, 0)]
    (line,) = to_fix(case.examine(Engine(script(finals=finals))))
    assert "8 of 8 requests before any journey" in line


def test_too_few_descriptors_for_the_users_are_to_be_mended(case: Case) -> None:
    few = Rig(cores=8, load_average=0.1, open_files=64, governor=None)
    (line,) = to_fix(case.examine(rig=few))
    assert "ulimit -n" in line


def test_a_busy_or_small_rig_is_worth_a_note() -> None:
    found = list(rig_findings(Rig(2, 1.9, 4096, "powersave"), processes=4, users=20))
    assert [one.grade for one in found] == [Grade.NOTE] * 3


def test_what_a_system_does_not_tell_is_not_judged() -> None:
    found = list(rig_findings(Rig(8, None, -1, None), processes=4, users=20))
    assert [one.grade for one in found] == [Grade.OK]


def test_the_command_says_it_in_its_exit_code_and_as_json(case: Case) -> None:
    case.candidate.status = 503
    done = case.project.run("doctor", "--json")
    assert done.code == 13
    told = json.loads(done.out)
    assert told["is_ready"] is False
    assert {one["grade"] for one in told["examined"]} >= {"ok", "fix"}


@pytest.mark.live  # twenty journeys, evenly spaced, take five seconds
def test_real_users_send_real_journeys_and_then_it_is_ready(case: Case) -> None:
    done = case.project.run("doctor")
    assert done.code == 0, done.out
    assert case.baseline.requests.count("GET /look") == case.candidate.requests.count("GET /look") == JOURNEYS
    assert "ready: `rehearse compare` can begin" in done.out


# what a rehearsal does besides load

CHECK = CheckResult("INC-1", "checks/test_one.py::test_it", "It broke", CheckOutcome.NOT_RUN, Severity.ABORT)


def said_of(found: Examination, subject: str) -> list[tuple[Grade, str]]:
    return [(one.grade, one.sentence) for one in found.examined if one.subject == subject]


def test_checks_that_can_be_asked_are_counted_and_nothing_is_said_where_there_are_none(case: Case) -> None:
    assert said_of(case.examine(), "checks") == []
    case.add_check("")
    found = case.examine(checks=[Collected((CHECK,))])
    assert said_of(found, "checks") == [(Grade.OK, "1 check can be asked")]
    assert found.is_ready


def test_a_folder_without_a_check_is_to_be_mended_as_it_keeps_every_verdict_from_go(case: Case) -> None:
    case.add_check("")
    (line,) = to_fix(case.examine(checks=[Collected(())]))
    assert "no check in it -> write one with `rehearse check new`" in line


def test_a_check_that_cannot_be_imported_is_to_be_mended_and_says_what_to_do(case: Case) -> None:
    case.add_check("import nowhere_at_all\n")
    tools = Tools(Engine(), Silence(), lambda: datetime.now(UTC), lambda: GOOD_RIG)  # real pytest in a child
    (line,) = to_fix(examine(case.settings({}), tools))
    assert line.startswith("checks: checks/test_one.py")
    assert "nowhere_at_all" in line
    assert line.endswith("-> mend it, and see with `rehearse check list`; until then no verdict can be GO")


def test_an_exit_plan_with_a_dead_end_is_told_and_a_rehearsal_is_possible_all_the_same(case: Case) -> None:
    assert said_of(case.examine(), "exit plan") == [], "nobody planned one"
    case.project.edit(
        "[baseline]\n",
        '[exit_plan]\ndecider = "me"\n\n[[exit_plan.steps]]\nname = "drop the table"\n\n[baseline]\n',
    )
    found = case.examine()
    told = said_of(found, "exit plan")
    assert {grade for grade, _ in told} == {Grade.NOTE}
    assert any("step 'drop the table'" in sentence for _, sentence in told)
    assert "things to think about" in told[-1][1]
    assert found.is_ready


def with_dependency(case: Case, upstream: str, listen: int | None = None) -> None:
    tables = [
        f'[edges.dependencies.db.{side}]\nlisten = "127.0.0.1:{listen or free_port()}"\nupstream = "{upstream}"\n\n'
        for side in Side
    ]
    case.project.edit("[baseline]\n", "".join([*tables, "[baseline]\n"]))


def test_a_dependency_behind_a_fault_proxy_is_connected_to(case: Case) -> None:
    place = f"127.0.0.1:{case.baseline.port}"
    with_dependency(case, place)
    found = case.examine()
    assert said_of(found, "edges") == [
        (Grade.OK, f"db of the {side} at {place} accepts connections") for side in Side
    ]
    assert found.is_ready


def test_a_dependency_that_is_down_is_to_be_mended_before_any_side_is_asked(case: Case) -> None:
    with_dependency(case, f"127.0.0.1:{free_port()}")
    engine = Engine()
    lines = to_fix(case.examine(engine))
    assert [line.partition(" at ")[0] for line in lines] == [f"edges: db of the {side}" for side in Side]
    assert all("cannot be reached (Connection refused) -> start it" in line for line in lines)
    assert case.candidate.connections == 0
    assert engine.orders == []


def test_a_dependency_that_is_not_listed_is_not_connected_to(case: Case) -> None:
    with_dependency(case, "192.0.2.1:5432")
    for line in to_fix(case.examine()):
        assert "192.0.2.1:5432 is not on the allow-list" in line


def test_a_place_that_is_taken_leaves_no_room_for_a_fault_proxy(case: Case) -> None:
    with_dependency(case, f"127.0.0.1:{case.baseline.port}", case.candidate.port)
    (line,) = to_fix(case.examine())
    assert "edges.dependencies" in line
    assert case.candidate.requests == []


LOGIN = '[edges.login]\npath = "/login"\nbody = \'{"password": "canary"}\'\n\n[baseline]\n'


def test_the_login_of_edge_cases_is_tried_on_each_side(case: Case) -> None:
    case.project.edit("[baseline]\n", LOGIN)
    case.baseline.body = b'{"token": "abc"}'
    (line,) = to_fix(case.examine())
    assert line.startswith("edges: candidate: edges.login: /login answers without a text at 'token'")
    case.candidate.body = b'{"token": "abc"}'
    found = case.examine()
    assert found.is_ready
    assert [grade for grade, _ in said_of(found, "edges")] == [Grade.OK, Grade.OK]
    assert "canary" not in "".join(found.lines)


def test_a_side_that_is_not_the_one_that_is_meant_gets_no_password(case: Case) -> None:
    case.project.edit("[baseline]\n", LOGIN)
    case.candidate.status = 503
    case.examine()
    assert not any("/login" in one for one in (*case.baseline.requests, *case.candidate.requests))
