"""What is stored of the configuration says what was in force, and the policy is what the judge is given."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

import pytest

from rehearse.config import effective_toml, policy_hash, policy_of
from rehearse.config.keys import TABLE, TABLES, all_keys
from rehearse.model import ContractRules, Metric, NoiseAssumptions, Objective, Policy, RigLimits
from tests.config.conftest import SMALLEST, Project, with_tables

RICH = with_tables(
    "title = 'A \"rich\" one\\n'",
    "mode = 'recorded'",
    "[targets.baseline]\nurl = 'https://a.staging.example/base'\nfacts = ['cat', 'VERSION']\nready_timeout = '90s'",
    "[targets.candidate]\nurl = 'https://b.staging.example'\nstart = ['run', 'x y', '\"']\nready = '/ok'",
    "[safety]\nallow = ['*.staging.example', '10.0.0.0/8']\nproduction = ['*prod*']\nside_effects = true",
    "[load]\nrate = 12.5\nblock = '2500ms'\nbudget = '1h'\nusers = 50\nrounds = 2\narrivals = 'uniform'",
    "[load.rig]\nmax_steal = '2.5%'",
    "[[scenarios]]\nname = 'shop'\nfile = 'shop.py'\nshare = 3",
    "[objectives]\np95 = ['<=+7.5%', '<800ms']\np50 = '<=+1%'\nerror_ratio = '<=+0.05pp'",
    "[objectives.endpoints.'GET /x \"y\"']\np50 = { is = '<2s', advisory = true }",
    "[judge]\ncritical = ['GET /x']\nfloor = '1ms'\nshared = ['database']\ngo_alpha = 0.1\nmin_pairs = 12",
    "[judge.noise]\nstart_sd = '3%'",
    "[baseline]\nname = 'v1'\nmax_age = '7d'\ndeclared_differences = ['facts.version']",
    "[exit_plan]\nstrategy = 'roll-forward'\ntext = '''\n1. a\n2. b\n'''",
    "[report]\ndir = '/var/reports'",
)


@pytest.mark.parametrize("text", [SMALLEST, RICH], ids=["smallest", "rich"])
def test_what_is_in_force_can_be_read_back_and_is_the_same(project: Project, text: str) -> None:
    settings = project.load(text)
    effective = effective_toml(settings)
    again = project.load(effective)
    assert again == settings
    assert effective_toml(again) == effective
    assert policy_hash(again) == policy_hash(settings)


def test_what_is_in_force_has_every_key_that_has_a_value(project: Project) -> None:
    document = tomllib.loads(effective_toml(project.load()))
    may_be_missing = {
        "mode",
        "facts",
        "proxy",
        "prepare",
        "reset",
        "restart",
        "start",
        "command",
        "valid_for",
        "ca",
        "cert",
        "key",
        "max_steal",
        "max_queue_wait",
        "recorded",
        "users",
        "rounds",
        "max_rate",
        "start_rate",
        "waivers",
        "state",
        "series",
        "cutover",  # an environment of its own, and what else may be left out
        "exit_plan",  # lists of steps, and days that nobody has written down yet
        "edges",  # nearly all of it is lists of cases and what may be left out
    }
    for key in all_keys():
        if key.path == ("prometheus", "url"):
            continue
        if key.kind in (TABLE, TABLES) or "*" in key.path[2:] or may_be_missing & {key.path[0], key.path[-1]}:
            continue
        node: object = document
        for part in key.path:
            name = "baseline" if part == "*" else 0 if part == "[]" else part
            node = node[name]  # type: ignore[index]
        assert node is not None


def test_overrides_are_in_force(project: Project) -> None:
    settings = project.load(SMALLEST, {"REHEARSE_LOAD__BUDGET": "90s"}, {"load.seed": 7})
    load = tomllib.loads(effective_toml(settings))["load"]
    assert (load["budget"], load["seed"]) == ("90s", 7)


def test_the_default_policy_is_the_models_own(project: Project) -> None:
    settings = project.load()
    assert policy_of(settings) == Policy(objectives=settings.objectives.rules, contract=ContractRules())


def test_the_policy_says_what_the_file_says(project: Project) -> None:
    policy = policy_of(project.load(RICH))
    assert policy.objectives_for("GET /y")[1] == Objective(Metric.P95, 0.075, 0.8)
    assert policy.objectives_for('GET /x "y"')[0] == Objective(Metric.P50, None, 2.0, is_advisory=True)
    assert policy.objectives_for('GET /x "y"')[1] == Objective(Metric.P95, 0.075, 0.8)
    assert (policy.critical, policy.floor_s, policy.go_alpha) == (("GET /x",), 0.001, 0.1)
    assert (policy.shares_host, policy.min_pairs) == (True, 12)
    assert policy.rig == RigLimits(max_steal_ratio=0.025)
    assert policy.noise == NoiseAssumptions(start_sd=0.03)


Change = Callable[[Project], str]


def touched(project: Project) -> str:
    (project.root / "shop.py").write_text("# another\n", encoding="utf-8")
    return SMALLEST


def checked(project: Project) -> str:
    (project.root / "checks").mkdir()
    (project.root / "checks" / "test_it.py").write_text("# a check\n", encoding="utf-8")
    return SMALLEST


DATES = "[[edges.dates]]\nid = 'leap'\nwhy = 'It broke once.'\npath = '/report?day={instant}'"

CHANGES: dict[str, tuple[Change, bool]] = {
    "the same": (lambda _: SMALLEST, False),
    "another url": (lambda _: SMALLEST.replace("8102", "8103"), False),
    "another rate": (lambda _: SMALLEST.replace("50", "60"), False),
    "another title": (lambda _: "title = 'x'\n" + SMALLEST, False),
    "a header": (lambda _: with_tables("[targets.baseline.headers]\nX = 'secret'"), False),
    "another margin": (lambda _: with_tables("[objectives]\np50 = '<=+6%'"), True),
    "the default, written out": (lambda _: with_tables("[objectives]\np50 = '<=+5%'"), False),
    "a limit of the rig": (lambda _: with_tables("[load.rig]\nmax_stall = '1s'"), True),
    "another endpoint": (lambda _: with_tables("[objectives.endpoints.x]\np50 = '<=+6%'"), True),
    "another assumption": (lambda _: with_tables("[judge.noise]\nhost_sd = '3%'"), True),
    "another scenario's name": (lambda _: SMALLEST.replace('"shop"', '"shops"'), True),
    "another scenario's content": (touched, True),
    "another check": (checked, True),
    "another pack": (lambda _: with_tables("[checks]\npacks = ['http']"), True),
    "another option of a pack": (lambda _: with_tables("[checks.options.http]\npaths = ['/x']"), True),
    "another secret of a pack": (lambda _: with_tables("[checks.options.http]\npassword = 'x'"), False),
    "another date boundary": (lambda _: with_tables(DATES), True),
    "another exit plan": (lambda _: with_tables("[exit_plan]\ndecider = 'somebody'"), True),
    "another stage": (lambda _: with_tables("[promotion]\nstages = ['dev']\nstage = 'dev'"), False),
    "another gate": (lambda _: with_tables("[gate]\nmax_age = '1h'"), False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_policy_has_another_hash_exactly_when_a_verdict_could_differ(
    project: Project, change: str
) -> None:
    before = policy_hash(project.load())
    changed, differs = CHANGES[change]
    assert (policy_hash(project.load(changed(project))) != before) is differs


def test_nothing_but_advice_cannot_decide(project: Project) -> None:
    keys = {"p50": "<=+5%", "p95": "<=+5%", "error_ratio": "<=+1pp", "completed_ratio": ">=-3%"}
    rules = "".join(f"{key} = {{ is = '{rule}', advisory = true }}\n" for key, rule in keys.items())
    [line] = project.mistakes(with_tables(f"[objectives]\n{rules}"))
    assert line.startswith("rehearse.toml: objectives: all are advisory: nothing could decide")


def test_two_scenarios_of_one_name_are_refused(project: Project) -> None:
    second = "\n[[scenarios]]\nname = 'shop'\nfile = 'shop.py'\n"
    [line] = project.mistakes(SMALLEST + second)
    assert line == "rehearse.toml: scenarios: 2 are named 'shop'; reports could not tell them apart"
    without = SMALLEST[: SMALLEST.index("[[scenarios]]")]
    assert project.mistakes(without) == [
        "rehearse.toml: scenarios: there is none; add [[scenarios]] with name and file"
    ]
