"""Real checks in a real child process: what is collected, how each comes out, and what its result tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearse.model import CheckOutcome, Severity
from tests.checks.breaks import Checks, Found

ERROR, NOT_RUN, ACCEPTED = CheckOutcome.ERROR, CheckOutcome.NOT_RUN, CheckOutcome.ACCEPTED
FAILED, PASSED = CheckOutcome.FAILED, CheckOutcome.PASSED

EVERY_WAY = '''
@pytest.mark.breakage(id="pass", broke_on="2026-03-02", component="orders", severity="warn", ref="INC-1")
def test_pass():
    """The total was a text.

    More about it.
    """
    print("printed by a check")


@pytest.mark.breakage(id="fail")
def test_fail():
    assert 1 + 1 == 3, "sums are wrong"


@pytest.mark.breakage(id="skip")
def test_skip():
    pytest.skip("needs a full moon")


@pytest.mark.breakage(id="skip-mark")
@pytest.mark.skip(reason="not here")
def test_skip_mark():
    raise AssertionError


@pytest.mark.breakage(id="skip-bare")
def test_skip_bare():
    pytest.skip()


@pytest.mark.breakage(id="skip-mark-bare")
@pytest.mark.skip
def test_skip_mark_bare():
    raise AssertionError


@pytest.mark.breakage(id="accepted", expires="2026-11-21")
@pytest.mark.xfail(reason="INC-7, until the next release")
def test_accepted():
    assert False


@pytest.mark.breakage(id="accepted-for-ever")
@pytest.mark.xfail(reason="INC-7")
def test_accepted_for_ever():
    assert False


@pytest.mark.breakage(id="accepted-too-long", expires="2026-11-20")
@pytest.mark.xfail(reason="INC-7")
def test_accepted_too_long():
    assert False


@pytest.mark.breakage(id="accepted-and-good", expires="2027-01-01")
@pytest.mark.xfail(reason="INC-7")
def test_accepted_and_good():
    pass


@pytest.mark.breakage(id="accepted-and-good-lax", expires="2027-01-01")
@pytest.mark.xfail(reason="INC-7", strict=False)
def test_accepted_and_good_lax():
    pass


@pytest.mark.breakage(id="expired", expires="2026-11-20")
def test_expired():
    pass


@pytest.fixture
def broken():
    raise RuntimeError("the fixture is broken")


@pytest.fixture
def untidy():
    yield
    raise RuntimeError("it cannot be cleared up")


@pytest.mark.breakage(id="set-up")
def test_set_up(broken):
    pass


@pytest.mark.breakage(id="tear-down")
def test_tear_down(untidy):
    pass


@pytest.mark.breakage(id="no-such-fixture")
def test_no_such_fixture(kandidate):
    pass


@pytest.mark.breakage(id="mistaken")
def test_mistaken():
    raise NameError("name 'requets' is not defined")


@pytest.mark.breakage(id="many")
@pytest.mark.parametrize("day", ["2028-02-29", "2027-12-31"])
def test_many(day):
    assert day != "2028-02-29"


@pytest.mark.parametrize("day", [pytest.param(1, marks=pytest.mark.breakage(id="own-name"))])
def test_own_name(day):
    pass
'''


@pytest.fixture(scope="module")
def every_way(tmp_path_factory: pytest.TempPathFactory) -> Found:
    checks = Checks(tmp_path_factory.mktemp("every way"))
    checks.write("test_every_way.py", EVERY_WAY)
    (checks.root / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (checks.root / "conftest.py").write_text("raise RuntimeError('not for checks')\n")
    return checks.run()


@pytest.mark.parametrize(
    ("check_id", "outcome", "why"),
    [
        ("pass", PASSED, ""),
        ("fail", FAILED, "sums are wrong"),
        ("skip", NOT_RUN, "needs a full moon"),
        ("skip-mark", NOT_RUN, "not here"),
        ("skip-bare", ERROR, "without a reason"),
        ("skip-mark-bare", ERROR, "without a reason"),
        ("accepted", ACCEPTED, "until 2026-11-21: INC-7"),
        ("accepted-for-ever", ERROR, "without an end"),
        ("accepted-too-long", ERROR, "which is over"),
        ("accepted-and-good", ERROR, "take the xfail off"),
        ("accepted-and-good-lax", ERROR, "take the xfail off"),
        ("expired", ERROR, "expired on 2026-11-20"),
        ("set-up", ERROR, "the fixture is broken"),
        ("tear-down", ERROR, "it cannot be cleared up"),
        ("no-such-fixture", ERROR, "kandidate"),
        ("mistaken", ERROR, "the check is broken"),
        ("many[2028-02-29]", FAILED, "2028-02-29"),
        ("many[2027-12-31]", PASSED, ""),
        ("own-name", PASSED, ""),
    ],
)
def test_how_a_check_comes_out(every_way: Found, check_id: str, outcome: CheckOutcome, why: str) -> None:
    assert every_way.outcome(check_id) is outcome
    assert why in every_way.sentence(check_id)


def test_every_planned_check_has_a_result_and_the_projects_own_settings_of_pytest_do_not_matter(
    every_way: Found,
) -> None:
    assert every_way.planned == list(every_way.results)
    assert len(every_way.planned) == 19
    assert every_way.troubles == []


def test_a_result_tells_all_that_its_marker_says(every_way: Found) -> None:
    found = every_way.results["pass"]
    assert found.story == "The total was a text."
    assert found.source == "checks/test_every_way.py::test_pass"
    assert (found.broke_on, found.component, found.ref) == ("2026-03-02", "orders", "INC-1")
    assert found.severity is Severity.WARN
    assert every_way.results["own-name"].story == "own name"


BAD_FILES = {
    "import error": ("import no_such_module\n", "No module named 'no_such_module'"),
    "syntax error": ("def test_it(:\n", "SyntaxError"),
    "skipped as a whole": ("import pytest\npytest.skip('later', allow_module_level=True)\n", "later"),
    "skipped when something is not installed": ("import pytest\npytest.importorskip('nope')\n", "nope"),
    "no marker": ("def test_it():\n    pass\n", "says not which break"),
    "no id": ("import pytest\n\n@pytest.mark.breakage()\ndef test_it(): pass\n", "has no id"),
    "wrong date": (
        "import pytest\n\n@pytest.mark.breakage(id='a', broke_on='2026-02-30')\ndef test_it(): pass\n",
        "'2026-02-30', which is no date",
    ),
    "unknown severity": (
        "import pytest\n\n@pytest.mark.breakage(id='a', severity='abrot')\ndef test_it(): pass\n",
        "Did you mean 'abort'?",
    ),
    "twice the same id": (
        "import pytest\n\n@pytest.mark.breakage(id='twin')\ndef test_it(): pass\n",
        "2 checks have the id 'twin'",
    ),
    "mistyped marker": (
        "import pytest\n\n@pytest.mark.breakege(id='a')\ndef test_it(): pass\n",
        "'breakege' not found in `markers`",
    ),
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Found:
    checks = Checks(tmp_path_factory.mktemp("bad"))
    checks.write("test_good.py", "@pytest.mark.breakage(id='good')\ndef test_good(): pass\n")
    checks.write("test_twin.py", "@pytest.mark.breakage(id='twin')\ndef test_twin(): pass\n")
    for number, (source, _) in enumerate(BAD_FILES.values()):
        checks.write(f"bad_{number}.py", source, imports="")
    return checks.run()


@pytest.mark.parametrize("why", [why for _, why in BAD_FILES.values()], ids=list(BAD_FILES))
def test_what_cannot_be_collected_is_told(bad: Found, why: str) -> None:
    assert len([trouble for trouble in bad.troubles if why in trouble]) == 1, bad.troubles


def test_only_what_was_collected_without_mistakes_runs(bad: Found) -> None:
    assert len(bad.troubles) == len(BAD_FILES)
    assert list(bad.results) == ["good"]


def test_a_file_that_ends_the_process_when_it_is_imported_is_told(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    checks.write("test_bad.py", "import os\nos._exit(0)\n", imports="")
    found = checks.run()
    assert "exit code 0" in found.troubles[0]
    assert found.results == {}


def test_an_empty_folder_has_nothing_planned(tmp_path: Path) -> None:
    found = Checks(tmp_path).run()
    assert (found.planned, found.results) == ([], {})


def test_only_the_named_ones_run_and_a_listing_runs_none(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    for name in "abc":
        checks.write(f"test_{name}.py", f"@pytest.mark.breakage(id='{name}')\ndef test_{name}(): pass\n")
    assert list(checks.run(only=("checks/test_b.py::test_b",)).results) == ["b"]
    listing = checks.run(is_listing=True)
    assert (listing.planned, listing.results, listing.troubles) == (["a", "b", "c"], {}, [])
