"""Real child processes that misbehave in every way we know: each check is named, and none of them is ever passed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from rehearse.checks.context import CheckedSide
from rehearse.checks.orders import Began, Finished
from rehearse.checks.runner import PytestRunner
from rehearse.model import CheckOutcome, Severity, Side
from tests.checks.breaks import Checks, Found
from tests.presence import absent
from tests.servers import Site, serving

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


DEADLY = """
@pytest.mark.breakage(id="before")
def test_before():
    pass


@pytest.mark.breakage(id="exit-0")
def test_exit():
    os._exit(0)


@pytest.mark.breakage(id="killed")
def test_killed():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.breakage(id="loop")
def test_loop():
    os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "321")
    while True:
        pass


@pytest.mark.breakage(id="after")
def test_after():
    assert input_is_empty()


def input_is_empty():
    return os.read(0, 1) == b""
"""
MORE_OF_IT = """
@pytest.mark.breakage(id="segfault")
def test_segfault():
    import ctypes

    ctypes.string_at(0)


@pytest.mark.breakage(id="session")
def test_session():
    pytest.exit("enough")


@pytest.mark.breakage(id="forks")
def test_forks():
    if os.fork() == 0:
        time.sleep(600)


@pytest.mark.breakage(id="loud")
def test_loud():
    for _ in range(100):
        print("x" * 100_000)
        os.write(1, b"y" * 1000)
    raise AssertionError("z" * 10_000_000)


@pytest.mark.breakage(id="closes")
def test_closes():
    os.closerange(3, 200)
"""


@pytest.fixture(scope="module")
def deadly(tmp_path_factory: pytest.TempPathFactory) -> Found:
    checks = Checks(tmp_path_factory.mktemp("deadly"))
    checks.write("test_deadly.py", DEADLY)
    return checks.run(timeout_s=2.0)


@pytest.fixture(scope="module")
def more_of_it(tmp_path_factory: pytest.TempPathFactory) -> Found:
    checks = Checks(tmp_path_factory.mktemp("more of it"))
    checks.write("test_more_of_it.py", MORE_OF_IT)
    return checks.run(timeout_s=20.0)


@pytest.mark.parametrize(
    ("check_id", "outcome", "why"),
    [
        ("before", PASSED, ""),
        ("exit-0", ERROR, "it ended the process (exit code 0)"),
        ("killed", ERROR, "SIGKILL"),
        ("loop", ERROR, "may take 2 s"),
        ("after", PASSED, ""),
    ],
)
def test_a_check_that_takes_its_process_along_is_named_and_the_others_still_run(
    deadly: Found, check_id: str, outcome: CheckOutcome, why: str
) -> None:
    assert deadly.outcome(check_id) is outcome
    assert why in deadly.sentence(check_id)


def test_nothing_that_a_check_began_outlives_it(deadly: Found) -> None:
    assert deadly.planned
    assert deadly.troubles == []
    alive = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert ["sleep", "321"] not in alive


@pytest.mark.live  # a child process for each of them
@pytest.mark.parametrize(
    ("check_id", "outcome", "why"),
    [
        ("segfault", ERROR, "SIGSEGV"),
        ("session", ERROR, "it ended the whole session"),
        ("forks", PASSED, ""),
        ("loud", FAILED, "zzz"),
        ("closes", ERROR, "while it ran"),
    ],
)
def test_a_check_that_breaks_its_process_in_another_way_is_named_too(
    more_of_it: Found, check_id: str, outcome: CheckOutcome, why: str
) -> None:
    assert more_of_it.outcome(check_id) is outcome
    assert why in more_of_it.sentence(check_id)


@pytest.mark.live
def test_a_check_that_says_much_is_not_held_up_by_a_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        absent("there is no /dev/full here")
    checks = Checks(tmp_path)
    marked = '@pytest.mark.breakage(id="loud")\n'
    checks.write("test_loud.py", marked + 'def test_loud():\n    os.write(2, b"words\\n" * 100_000)\n')
    order = checks.order(timeout_s=10.0)
    Path(order.log).parent.mkdir()
    Path(order.log).symlink_to("/dev/full")
    with closing(PytestRunner().run(order, str)) as messages:
        results = [message.result for message in messages if isinstance(message, Finished)]
    assert [result.outcome for result in results] == [PASSED], results


@pytest.mark.live
def test_a_check_that_says_ten_megabytes_fills_neither_record_nor_log(more_of_it: Found) -> None:
    assert len(more_of_it.sentence("loud")) <= 20_003
    assert len(more_of_it.log) <= 2_000_000
    assert more_of_it.troubles == []


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


def test_the_budget_of_all_ends_the_rest_and_says_so(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    for name in "abc":
        checks.write(
            f"test_{name}.py", f"@pytest.mark.breakage(id='{name}')\ndef test_{name}(): time.sleep(60)\n"
        )
    found = checks.run(budget_s=1.5)
    assert "checks.budget" in found.sentence("a")
    assert list(found.results) == ["a"]
    assert "2 checks were never run" in found.troubles[0]


def test_a_collection_that_never_ends_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rehearse.checks.runner.COLLECT_TIMEOUT_S", 1.0)
    checks = Checks(tmp_path)
    checks.write("test_a.py", "time.sleep(60)\n")
    assert checks.run().troubles == ["collecting the checks took over 1 s"]


def test_closing_the_messages_ends_the_process_at_once(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    checks.write("test_a.py", "@pytest.mark.breakage(id='a')\ndef test_a(): time.sleep(322)\n")
    began = time.monotonic()
    with closing(PytestRunner().run(checks.order(), str)) as messages:
        for message in messages:
            if isinstance(message, Began):
                break
    assert time.monotonic() - began < 20
    children = psutil.Process().children(recursive=True)
    assert [child for child in children if "rehearse.checks.child" in child.cmdline()] == []


def test_the_process_ends_when_rehearse_is_killed(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    checks.write("test_a.py", "@pytest.mark.breakage(id='a')\ndef test_a(): time.sleep(323)\n")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, env={**os.environ}, text=True
    )
    assert parent.stdout is not None
    (child,) = psutil.Process(int(parent.stdout.readline())).children()
    parent.kill()
    parent.communicate()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


PARENT = """
import os, sys
from pathlib import Path
from tests.checks.breaks import Checks
from rehearse.checks.orders import Began
from rehearse.checks.runner import PytestRunner

for message in PytestRunner().run(Checks(Path(sys.argv[1])).order(), str):
    if isinstance(message, Began):
        print(os.getpid(), flush=True)
"""


def test_only_the_named_ones_run_and_a_listing_runs_none(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    for name in "abc":
        checks.write(f"test_{name}.py", f"@pytest.mark.breakage(id='{name}')\ndef test_{name}(): pass\n")
    assert list(checks.run(only=("checks/test_b.py::test_b",)).results) == ["b"]
    listing = checks.run(is_listing=True)
    assert (listing.planned, listing.results, listing.troubles) == (["a", "b", "c"], {}, [])


# --- what a check reaches


REACH = """
import httpx

from rehearse.errors import TargetRefused


@pytest.mark.breakage(id="get")
def test_get(candidate, baseline, both, facts, options, recorded, side_effects):
    assert candidate.get("/version").json() == {"version": "1.0"}
    assert both.baseline.get("/a").status_code == 200
    assert both.candidate.get("/b").status_code == 200
    assert facts["candidate"] == {"version": "2.0"}
    assert facts["baseline"] == {"version": "1.0"}
    assert options == {"paths": ("/a",)}
    assert recorded == []
    assert side_effects is False


@pytest.mark.breakage(id="post")
def test_post(candidate):
    candidate.post("/orders")


@pytest.mark.breakage(id="post-swallowed")
def test_post_swallowed(candidate):
    with pytest.raises(TargetRefused):
        candidate.post("/orders")


@pytest.mark.breakage(id="elsewhere")
def test_elsewhere(candidate):
    candidate.get("http://127.0.0.2/")


@pytest.mark.breakage(id="own-socket")
def test_own_socket():
    httpx.get("http://127.0.0.2:9/")


@pytest.mark.breakage(id="redirect")
def test_redirect(candidate):
    candidate.get("/there", follow_redirects=True)


@pytest.mark.breakage(id="database")
def test_database(database):
    pass


@pytest.mark.breakage(id="hidden")
def test_hidden(candidate):
    for place in ("cmdline", "environ"):
        with open(f"/proc/self/{place}", "rb") as file:
            assert b"canary-4711" not in file.read()


@pytest.mark.breakage(id="headers")
def test_headers(candidate):
    assert candidate.headers["authorization"] == "Bearer canary-4711"
    assert "canary-4711" not in repr(candidate)
    raise AssertionError("canary-4711")
"""


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Site, Site]:
    with serving() as left, serving() as right:
        checks = Checks(tmp_path_factory.mktemp("reach"), left.url, right.url)
        checks.write("test_reach.py", REACH)
        order = checks.order()
        assert order.context.baseline is not None
        assert order.context.candidate is not None
        right.headers = {}
        right.location = left.url + "/stolen"
        candidate = replace(
            order.context.candidate,
            facts={"version": "2.0"},
            headers={"Authorization": "Bearer canary-4711"},
            other_sides=(left.url.removeprefix("http://"),),
        )
        baseline = replace(order.context.baseline, facts={"version": "1.0"})
        right.status = 200
        found = checks.run(
            clean=lambda text: text.replace("canary-4711", "***"),
            baseline=baseline,
            candidate=candidate,
            options={"test_reach": {"paths": ("/a",)}},
        )
        right.status = 302
        redirected = checks.run(
            baseline=baseline, candidate=candidate, only=("checks/test_reach.py::test_redirect",)
        )
        found.results["redirect"] = redirected.results["redirect"]
        return found, left, right


def test_the_fixtures_reach_both_sides(reached: tuple[Found, Site, Site]) -> None:
    found, left, right = reached
    assert (found.sentence("get"), found.outcome("get")) == ("", PASSED)
    assert "GET /a" in left.requests
    assert {"GET /version", "GET /b"} <= set(right.requests)


@pytest.mark.parametrize("check_id", ["post", "post-swallowed"])
def test_nothing_that_changes_data_is_sent_and_trying_is_no_verdict(
    reached: tuple[Found, Site, Site], check_id: str
) -> None:
    found, _, right = reached
    assert found.outcome(check_id) is ERROR
    assert "safety.side_effects" in found.sentence(check_id)
    assert not [request for request in right.requests if request.startswith("POST")]


@pytest.mark.parametrize("check_id", ["elsewhere", "own-socket"])
def test_a_host_that_is_not_listed_is_never_reached(reached: tuple[Found, Site, Site], check_id: str) -> None:
    assert reached[0].outcome(check_id) is ERROR
    assert "not on the allow-list" in reached[0].sentence(check_id)


def test_a_redirect_to_the_other_side_is_refused(reached: tuple[Found, Site, Site]) -> None:
    found, left, _ = reached
    assert found.outcome("redirect") is ERROR
    assert "the other side's target" in found.sentence("redirect")
    assert "GET /stolen" not in left.requests


def test_secrets_are_neither_on_the_command_line_nor_in_the_environment(
    reached: tuple[Found, Site, Site],
) -> None:
    assert reached[0].outcome("hidden") is PASSED


def test_sql_is_not_asked_of_a_service(reached: tuple[Found, Site, Site]) -> None:
    assert reached[0].outcome("database") is NOT_RUN


def test_what_a_check_prints_of_a_secret_is_not_in_the_log(reached: tuple[Found, Site, Site]) -> None:
    found = reached[0]
    assert found.outcome("headers") is FAILED
    assert "***" in found.log
    assert "canary-4711" not in found.log


def test_the_side_under_test_can_be_the_baseline_and_without_one_a_check_is_not_run(tmp_path: Path) -> None:
    with serving() as left:
        checks = Checks(tmp_path, left.url)
        checks.write(
            "test_a.py",
            """
            @pytest.mark.breakage(id="asks")
            def test_asks(candidate):
                assert candidate.get("/asked").status_code == 200


            @pytest.mark.breakage(id="needs")
            def test_needs(baseline):
                raise AssertionError
            """,
        )
        assert checks.run(under_test=Side.BASELINE).outcome("asks") is PASSED
        assert left.requests == ["GET /asked"]
        found = checks.run(baseline=None, candidate=CheckedSide(Side.CANDIDATE, "candidate", left.url))
    assert found.outcome("needs") is NOT_RUN
    assert "recorded mode" in found.sentence("needs")


def test_a_database_is_asked_by_sql_and_only_read(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("create table orders (id integer)")
    checks = Checks(tmp_path, candidate=f"sqlite:///{tmp_path / 'a.db'}")
    checks.write(
        "test_a.py",
        """
        @pytest.mark.breakage(id="reads")
        def test_reads(database):
            with database["candidate"].connect() as connection:
                assert connection.exec_driver_sql("select count(*) from orders").scalar_one() == 0


        @pytest.mark.breakage(id="writes")
        def test_writes(database):
            with database["candidate"].connect() as connection:
                connection.exec_driver_sql("insert into orders values (1)")
        """,
    )
    found = checks.run()
    assert found.outcome("reads") is PASSED
    assert "readonly" in found.sentence("writes")


def test_messages_of_a_check_come_while_the_next_one_runs(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    checks.write(
        "test_a.py",
        """
        @pytest.mark.breakage(id="first")
        def test_first():
            pass


        @pytest.mark.breakage(id="second")
        def test_second():
            time.sleep(60)
        """,
    )
    seen = []
    with closing(PytestRunner().run(checks.order(), str)) as messages:
        for message in messages:
            seen.append(message)
            if isinstance(message, Began) and message.source.endswith("second"):
                break
    assert [message.result.check_id for message in seen if isinstance(message, Finished)] == ["first"]
