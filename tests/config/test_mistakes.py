"""Every mistake is one line that says where, what was given, and what to write instead."""

from __future__ import annotations

import pytest

from tests.config.conftest import SMALLEST, Project, with_tables

IN_FILE = [
    ("[load]\nrate = 50\nwarm_up = 5", "load.warm_up: 5 has no unit; write '5s'"),
    ("[load]\nrate = 50\nblock = 2.5", "load.block: 2.5 has no unit; write '2.5s'"),
    (
        "[load]\nrate = 50\nwarm_up = '5 sec'",
        "load.warm_up: '5 sec' is not a duration; write it like '5s' (units: ms, s, m, h, d)",
    ),
    ("[load]\nrate = 50\nwarm_up = true", "load.warm_up: true is not a duration"),
    ("[judge]\ncertify_share = 0.1", "judge.certify_share: 0.1 has no unit; write '0.1%'"),
    ("[judge]\ncertify_share = '10'", "judge.certify_share: '10' is not a percentage; write it like '5%'"),
    ("[load]\nrate = '50'", "load.rate: '50' is no number; write it like 2.5"),
    ("[load]\nrate = true", "load.rate: true is no number"),
    ("[load]\nrate = 50\nseed = 1.0", "load.seed: 1.0 is no whole number; write it like 3"),
    ("[load]\nrate = 60000", "load.rate: 60000 is not between 0.01 and 50000: one host cannot do more"),
    ("[load]\nrate = 0", "load.rate: 0 is not between 0.01 and 50000"),
    ("[load]\nrate = nan", "load.rate: nan is not between"),
    ("[load]\nrate = 50\nblock = '500ms'", "load.block: '500ms' is not between 1s and 1m: shorter is noise"),
    ("[load]\nrate = 50\nbudget = '7h'", "load.budget: '7h' is not between 1s and 6h: it bounds the load"),
    ("[load]\nrate = 50\nbudget = '20s'", "load.budget: holds 5 whole blocks of 4s, 8 are needed"),
    (
        "[load]\nrate = 50\nbudget = '40s'\nrounds = 6",
        "load.budget: holds 6 whole blocks of 4s in 6 rounds, 12 are needed",
    ),
    (
        "[load]\nrate = 5\nblock = '30s'",
        "baseline.budget: holds 8 whole blocks of 30s in 8 rounds, 16 are needed",
    ),
    ("[load]\nrate = 1", "load.rate: 1/s makes 4 arrivals in a block of 4s, 5 are needed; raise it"),
    ("[baseline]\nrounds = 1\nbudget = '20s'", "baseline.budget: holds 5 whole blocks of 4s, 8 are needed"),
    ("[load]\nwarm_up = '5s'", "load.rate: is missing (number). Arrivals per second and side. Only you know"),
    (
        "[load]\nrate = 50\narrivals = 'poison'",
        "load.arrivals: 'poison' is not allowed. Did you mean 'poisson'?",
    ),
    ("[load]\nrate = 50\nrats = 50", "load.rats: is an unknown key. Did you mean 'rate'?"),
    ("[lod]\nrate = 50", "lod: is an unknown key. Did you mean 'load'?"),
    ("[load]\nrate = 50\nwarm_up_s = '5s'", "load.warm_up_s: is an unknown key. Did you mean 'warm_up'?"),
    (
        "[load.rig]\nmax_cpu = '120%'",
        "load.rig.max_cpu: '120%' is not between 1% and 100%: it is of one core",
    ),
    ("title = 5", "title: 5 is no text; write it like 'some-name'"),
    ("title = ' '", "title: ' ' is blank"),
    ("mode = 'pared'", "mode: 'pared' is not a mode. Did you mean 'paired'?"),
    ("source = '/etc'", "source: is an unknown key. Did you mean 'store'?"),
    (
        "[[scenarios]]\nname = 'shop'\nfile = 'nope.py'",
        "scenarios[0].file: 'nope.py' is not there: no such file",
    ),
    ("[[scenarios]]\nfile = 'shop.py'", "scenarios[0].name: is missing (text). What reports call it."),
    ("[[scenarios]]\nname = 'a'\nfile = 'shop.py'\nshare = 0", "scenarios[0].share: 0 is not between 0.001"),
    ("[judge]\nshared = ['hots']", "judge.shared[0]: 'hots' is not allowed. Did you mean 'host'?"),
    ("[judge]\nshared = 'host'", "judge.shared: 'host' is no list of 'host' or 'database'"),
    ("[judge]\ncritical = ['GET /x', 5]", "judge.critical[1]: 5 is no item of a list of texts"),
    ("[judge]\nabort_alpha = 0.5", "judge.abort_alpha: 0.5 is not between 1e-06 and 0.2"),
    ("[report]\ndir = 5", "report.dir: 5 is no path"),
    ("[store]\nurl = 'postgres'", "store.url: the value is not a database URL; write it like 'sqlite:///"),
    (
        "[exit_plan]\nstrategy = 'rollback'",
        "exit_plan.strategy: 'rollback' is not allowed. Did you mean 'roll-back'?",
    ),
    (
        "[safety]\nallow = '127.0.0.1'",
        "safety.allow: '127.0.0.1' is no list of texts; write it like ['a', 'b']",
    ),
    ("[safety]\nallow = ['*.com']", "safety.allow: ['*.com'] holds '*.com', which is too wide; a wildcard"),
    (
        "[safety]\nproduction = ['http://a']",
        "safety.production: ['http://a'] holds 'http://a', which is a URL",
    ),
    ("[safety]\nside_effects = 'yes'", "safety.side_effects: 'yes' is no boolean; write it like true"),
    ("[targets.baseline]\nready = '/'", "targets.baseline.url: is missing (URL). Where it is"),
    ("[targets.baseline]\nurl = 'shop:80'", "targets.baseline.url: 'shop:80' does not start with http:// or"),
    (
        "[targets.baseline]\nurl = 'ws://shop'",
        "targets.baseline.url: 'ws://shop' does not start with http:// or",
    ),
    ("[targets.baseline]\nurl = 'http://shop?a=1'", "targets.baseline.url: 'http://shop?a=1' has a query"),
    ("[targets.baseline]\nurl = 'http://a b'", "targets.baseline.url: 'http://a b' has a space"),
    (
        "[targets.'base line']\nurl = 'http://a'\nrole = 'candidate'",
        'targets."base line": the value is not a word of letters',
    ),
    ("[targets.baseline]\nurl = 'http://a'\nname = 'b'", "targets.baseline.name: is an unknown key."),
    ("[targets.baseline]\nurl = 'http://a'\nready = 'health'", "ready: 'health' is not a path on the target"),
    ("[targets.baseline]\nurl = 'http://a'\nready = '//b'", "ready: '//b' is not a path on the target"),
    ("[targets.baseline]\nurl = 'http://a'\nfacts = 5", "facts: 5 is not a command; write a list of texts"),
    ("[targets.baseline]\nurl = 'http://a'\nstart = 'up'", "start: 'up' is one text; write a list, such as"),
    ("[targets.baseline]\nurl = 'http://a'\nstart = []", "start: [] is not a command; write a list of texts"),
    (
        "[targets.baseline]\nurl = 'http://a'\nrole = 'candidat'",
        "role: 'candidat' is not allowed. Did you mean 'cand",
    ),
    (
        "[targets.third]\nurl = 'http://a'",
        "targets.third.role: is missing ('baseline' or 'candidate' or 'in-place')",
    ),
    (
        "[targets.baseline.headers]\n'a b' = 'x'",
        'targets.baseline.headers."a b": the value is not the name of a',
    ),
    (
        '[targets.baseline.headers]\nA = "x\\ny"',
        "targets.baseline.headers.A: the value holds what a header cannot",
    ),
    ("[targets.baseline.tls]\nkey = 'shop.py'", "targets.baseline.tls.key: is of no use without tls.cert"),
    ("[targets.baseline.tls]\nca = 'ca.pem'", "targets.baseline.tls.ca: 'ca.pem' is not there"),
    ("[targets.baseline]\nurl = 'http://127.0.0.1:8102'", "targets: http://127.0.0.1:8102 is both sides"),
    (
        "[objectives]\np50 = '5%'",
        "objectives.p50: '5%' is not an objective for the p50; write '<=+5%' (against the",
    ),
    ("[objectives]\np50 = '<=+5'", "objectives.p50: '<=+5' is not an objective for the p50; write '<=+5%'"),
    (
        "[objectives]\np50 = '<800'",
        "objectives.p50: '<800' is not an objective for the p50; write '<=+5%' (against",
    ),
    ("[objectives]\np50 = 0.05", "objectives.p50: 0.05 is not an objective for the p50"),
    (
        "[objectives]\np50 = ['<=+5%', '<=+6%']",
        "objectives.p50: ['<=+5%', '<=+6%'] needs a margin, a limit, or",
    ),
    ("[objectives]\np50 = []", "objectives.p50: [] needs a margin, a limit, or one of each"),
    ("[objectives]\np50 = '<=+0%'", "objectives.p50: '<=+0%' is a margin of nothing, which no measurement"),
    (
        "[objectives]\nerror_ratio = '<=+1%'",
        "error_ratio: '<=+1%' is not an objective for the error ratio; write",
    ),
    ("[objectives]\nerror_ratio = '<100%'", "error_ratio: '<100%' is a limit that is always kept, or never"),
    (
        "[objectives]\ncompleted_ratio = '<=+3%'",
        "completed_ratio: '<=+3%' is not an objective for the completed",
    ),
    (
        "[objectives]\np50 = { is = '<=+5%', advisry = true }",
        "is not an objective; as a table: { is = '<=+5%'",
    ),
    ("[objectives]\np50 = { advisory = true }", "is not an objective; as a table: { is = '<=+5%', advisory"),
    (
        "[objectives.endpoints.'GET /x']\np59 = '<=+5%'",
        'objectives.endpoints."GET /x".p59: is an unknown key. Did',
    ),
]


@pytest.mark.parametrize(("table", "expected"), IN_FILE, ids=[expected for _, expected in IN_FILE])
def test_a_mistake_in_the_file_is_one_line(project: Project, table: str, expected: str) -> None:
    [line] = project.mistakes(with_tables(table))
    assert line.startswith("rehearse.toml: ")
    assert expected in line


ELSEWHERE = [
    ({"REHEARSE_LOAD__RATE": "fast"}, {}, "REHEARSE_LOAD__RATE: load.rate: 'fast' is no number"),
    ({"REHEARSE_LOAD__RATE": ""}, {}, "REHEARSE_LOAD__RATE: load.rate: is missing (number)."),
    ({"REHEARSE_LOAD__RATE": "1\nx = 2"}, {}, "REHEARSE_LOAD__RATE: load.rate: '1\\nx = 2' is no number"),
    ({"REHEARSE_LOAD__BUDGET": "9s"}, {}, "REHEARSE_LOAD__BUDGET: load.budget: holds 2 whole blocks"),
    (
        {"REHEARSE_LOAD_RATE": "5"},
        {},
        "REHEARSE_LOAD_RATE: is an unknown variable. Did you mean 'REHEARSE_LOAD__RATE'?",
    ),
    ({"REHEARSE_XYZ": "5"}, {}, "REHEARSE_XYZ: is an unknown variable. docs/configuration.md lists them."),
    (
        {"REHEARSE_TARGETS__CANDIDAT__URL": "http://a"},
        {},
        "REHEARSE_TARGETS__CANDIDAT__URL: is an unknown variable. Did you mean 'REHEARSE_TARGETS__CANDIDATE__URL'?",
    ),
    ({"REHEARSE_SCENARIOS__FILE": "x"}, {}, "REHEARSE_SCENARIOS__FILE: is an unknown variable. Did you mean"),
    (
        {"REHEARSE_TARGETS": "5"},
        {},
        "REHEARSE_TARGETS: targets: the value is not a table; write [targets.base",
    ),
    (
        {"REHEARSE_SAFETY__ALLOW": "['a']"},
        {},
        "REHEARSE_SAFETY__ALLOW: safety.allow: is set only in the file",
    ),
    ({"REHEARSE_SAFETY": ""}, {}, "REHEARSE_SAFETY: safety: is set only in the file, which is under review"),
    ({}, {"safety.side_effects": "true"}, "command line: safety.side_effects: is set only in the file"),
    ({}, {"load.rate": "fast"}, "command line: load.rate: 'fast' is no number"),
    ({}, {"load.rats": 5}, "command line: load.rats: is an unknown key. Did you mean 'rate'?"),
    ({}, {"scenarios[0].name": "x"}, "command line: 'scenarios[0].name' is no key; write it like load.rate"),
    ({}, {"load.rate = 5\ntitle": "x"}, "command line: 'load.rate = 5\\ntitle' is no key"),
    ({}, {"": "x"}, "command line: '' is no key"),
]


@pytest.mark.parametrize(("env", "overrides", "expected"), ELSEWHERE, ids=[case[2] for case in ELSEWHERE])
def test_a_mistake_elsewhere_names_the_place_it_came_from(
    project: Project, env: dict[str, str], overrides: dict[str, object], expected: str
) -> None:
    [line] = project.mistakes(SMALLEST, env, overrides)
    assert line.startswith(expected)


def test_all_mistakes_are_told_at_once(project: Project) -> None:
    text = with_tables("[load]\nrate = 'x'\nwarm_up = 5", "[judge]\nfoo = 1", "[safety]\nallow = ['${HOST}']")
    assert [line.split(": ")[1] for line in project.mistakes(text, {"REHEARSE_X": "1"})] == [
        "safety.allow",
        "load.rate",
        "load.warm_up",
        "judge.foo",
        "is an unknown variable. docs/configuration.md lists them.",
    ]


def test_a_long_value_is_cut(project: Project) -> None:
    [line] = project.mistakes(with_tables(f"[load]\nrate = '{'x' * 500}'"))
    assert len(line) < 140
