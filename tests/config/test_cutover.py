"""`[cutover]`: what does not fit together is named, and nothing secret of it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearse.config import effective_toml, load_settings, policy_hash
from rehearse.errors import ConfigError

BASE = """
[targets.shop]
role = "in-place"
url = "http://127.0.0.1:9"

[safety]
allow = ["127.0.0.1"]
side_effects = true

[load]
rate = 20

[[scenarios]]
name = "shop"
file = "visit.py"

[[exit_plan.steps]]
name = "expand"
run = "Click."
undo = ["contract"]
"""
SURVIVAL = "[cutover.survival]\nwrite = {{ {} }}\nread = {{ {} }}\n"
FINE = 'path = "/rows/{row}"'


def load(root: Path, more: str, *, may_write: bool = True) -> str:
    """What is wrong; empty when nothing is."""
    text = BASE if may_write else BASE.replace("side_effects = true", "")
    (root / "visit.py").write_text("")
    (root / "rehearse.toml").write_text(text + more)
    try:
        load_settings(root / "rehearse.toml", {}, {})
    except ConfigError as error:
        return str(error)
    return ""


MISTAKES = [
    ('[[cutover.same]]\nname = "x"\n', "needs run, path or sql"),
    ('[[cutover.same]]\nname = "x"\npath = "/x"\nsql = "select 1"\n', "needs run, path or sql"),
    ('[[cutover.same]]\nname = "x"\nsql = "select 1"\n', "cutover.database: is missing"),
    ('[[cutover.same]]\nname = "x"\npath = "/x"\nignore = "("\n', "is no regular expression"),
    (
        '[[cutover.same]]\nname = "x"\npath = "/x"\n[[cutover.same]]\nname = "x"\npath = "/y"\n',
        "2 are named 'x'",
    ),
    ('[[cutover.probes]]\nname = "x"\npath = "/x"\nwrite = true\n', "GET writes nothing"),
    ('[[cutover.probes]]\nname = "x"\npath = "/x"\n' * 2, "2 are named 'x'"),
    ("".join(f'[[cutover.probes]]\nname = "x{n}"\npath = "/x"\n' for n in range(9)), "8 at most"),
    ('[cutover]\nversion_header = "X"\nversion_key = "v"\n', "leave one of them out"),
    ('[cutover.by_hand."expnd"]\nrun = ["x"]\n', "Did you mean 'expand'?"),
    (
        '[cutover.by_hand.expand]\nundo = ["x"]\n',
        "cutover.by_hand.expand.undo: replaces a command of the exit",
    ),
    (
        '[[exit_plan.forward]]\nname = "fix"\nrun = ["x"]\n[cutover.by_hand.fix]\nrun = ["y"]\n',
        "cutover.by_hand.fix.run: replaces a command of the exit",
    ),
    (
        '[[exit_plan.forward]]\nname = "fix"\n[cutover.by_hand.fix]\nundo = ["y"]\n',
        "cutover.by_hand.fix.undo: is there, and the exit plan has none",
    ),
    (SURVIVAL.format('path = "/rows"', FINE), "rows could not be told apart"),
    (SURVIVAL.format(FINE, 'path = "/rows"'), "has no {row} in it"),
    (SURVIVAL.format(FINE, 'path = "/rows/{row}", sql = "select 1 where 1 = :row"'), "one of both"),
    (SURVIVAL.format(FINE, ""), "needs path or sql"),
    (SURVIVAL.format('sql = "insert into x values (1)"', FINE), "has no :row in it"),
]


@pytest.mark.parametrize(("more", "expected"), MISTAKES, ids=[expected for _, expected in MISTAKES])
def test_what_does_not_fit_together_is_named(more: str, expected: str, tmp_path: Path) -> None:
    assert expected in load(tmp_path, more)


@pytest.mark.parametrize(
    "more",
    [
        SURVIVAL.format(FINE, FINE),
        '[[cutover.probes]]\nname = "x"\npath = "/x"\nmethod = "POST"\nwrite = true\n',
    ],
    ids=["rows", "a probe"],
)
def test_what_writes_needs_leave_to_write(more: str, tmp_path: Path) -> None:
    assert load(tmp_path, more) == ""
    assert "safety.side_effects = true is needed" in load(tmp_path, more, may_write=False)


def test_what_probes_and_commands_carry_is_shown_nowhere(tmp_path: Path) -> None:
    more = """
[cutover]
database = "postgresql://x:canary-db-4711@127.0.0.1/y"

[cutover.target]
url = "http://127.0.0.1:9"
headers = { Authorization = "Bearer canary-target-4711" }

[[cutover.probes]]
name = "read"
path = "/x"
body = "canary-body-4711"
headers = { X-Key = "canary-header-4711" }

[[cutover.same]]
name = "x"
run = ["dump", "--password", "canary-same-4711"]

[cutover.by_hand.expand]
run = ["do", "--token=canary-hand-4711"]
"""
    assert load(tmp_path, more) == ""
    settings = load_settings(tmp_path / "rehearse.toml", {}, {})
    assert "canary" not in effective_toml(settings)
    assert "canary" not in repr(settings)


PROBE = '[[cutover.probes]]\nname = "look"\npath = "/x"\nmethod = "PUT"\nwrite = true\n'
BY_HAND = '[cutover.by_hand.expand]\nrun = ["do", "--token=canary-1"]\n'
SAME = '[[cutover.same]]\nname = "x"\nrun = ["dump", "--password", "canary-1"]\n'
FORWARD = '[[exit_plan.forward]]\nname = "fix"\nrun = ["deploy", "--token", "canary-1"]\n'
POLICIES: dict[str, tuple[str, str, bool]] = {
    "the rate and the environment": (
        '[cutover]\nrate = 7\nevery = "1s"\n[cutover.target]\nurl = "http://127.0.0.1:8"\n',
        '[cutover]\ndatabase = "postgresql://x:canary@127.0.0.1/y"\n',
        True,
    ),
    "what a probe carries": (PROBE, PROBE + 'body = "canary"\nheaders = { X-Key = "canary" }\n', True),
    "the token of a command by hand": (BY_HAND, BY_HAND.replace("canary-1", "canary-2"), True),
    "the password of a question": (SAME, SAME.replace("canary-1", "canary-2"), True),
    "the token of a step": (FORWARD, FORWARD.replace("canary-1", "canary-2"), True),
    "the command of a step": (FORWARD, FORWARD.replace("deploy", "patch"), False),
    "another probe": ("", PROBE, False),
    "the name of a probe": (PROBE, PROBE.replace("look", "see"), False),
    "the path of a probe": (PROBE, PROBE.replace("/x", "/y"), False),
    "the method of a probe": (PROBE, PROBE.replace("PUT", "POST"), False),
    "a probe that writes": (PROBE, PROBE.replace("write = true", ""), False),
    "a command by hand": ("", BY_HAND, False),
    "another command by hand": (BY_HAND, BY_HAND.replace("do", "undo"), False),
    "a question": ("", SAME, False),
    "the command of a question": (SAME, SAME.replace("dump", "list"), False),
    "rows that must survive": ("", SURVIVAL.format(FINE, FINE), False),
    "the longest outage": ("", '[cutover]\nlongest_outage = "5s"\n', False),
    "all outages together": ("", '[cutover]\ntotal_outage = "5s"\n', False),
    "the time for the way back": ("", '[cutover]\nundo_within = "5s"\n', False),
    "the time for the way forward": ("", '[cutover]\nforward_within = "5s"\n', False),
}


@pytest.mark.parametrize("case", POLICIES)
def test_what_is_asked_and_accepted_is_the_policy_and_not_where_it_takes_place(
    case: str, tmp_path: Path
) -> None:
    def hash_of(more: str) -> str:
        assert load(tmp_path, more) == ""
        return policy_hash(load_settings(tmp_path / "rehearse.toml", {}, {}))

    before, after, is_same = POLICIES[case]
    assert (hash_of(before) == hash_of(after)) is is_same


def test_the_example_of_the_page_loads(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "cutover.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "visit.py").write_text("")
    base = BASE.replace('name = "expand"', 'name = "let customers in"').replace('["contract"]', '"Click."')
    (tmp_path / "rehearse.toml").write_text(base + example)
    settings = load_settings(tmp_path / "rehearse.toml", {"DB_PASSWORD": "canary-4711"}, {})
    assert settings.exit_plan.steps[-1].window == "old app, new schema"
    assert len(settings.cutover.probes) == 2
