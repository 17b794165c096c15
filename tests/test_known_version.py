"""A baseline is of the known-good version: on both sides, and never of a candidate that did not pass, silently."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rehearse import rehearsal
from rehearse.config import load_settings
from rehearse.errors import NotReady
from rehearse.model import Decision, Side, SignOff
from rehearse.store.records import Store
from tests.project import make_project
from tests.servers import Site, serving
from tests.test_recorded_mode import CALM as CALM_ALONE
from tests.test_recorded_mode import InPlace, scripts
from tests.test_rehearsal import CALM, Stage, blocks_of, script

SLOW = {"": 3.0}


def tells(site: Site, **facts: object) -> None:
    site.body = json.dumps(facts).encode()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Two sides that say what they run."""
    with serving() as left, serving() as right:
        project = make_project(tmp_path, left.url, right.url)
        for site in (left, right):
            project.edit(f'url = "{site.url}"', f'url = "{site.url}"\nfacts = "/version"')
        yield Stage(tmp_path, left, right)


def recorded(stage: Stage, slowdown: Mapping[str, float], **changes: object) -> None:
    parts = stage.parts(script(blocks_of(replace(CALM, slowdown=slowdown), seed=1)))
    rehearsal.baseline(stage.settings(**changes), parts, None, "test")


# --- both sides ---------------------------------------------------------------------------------------------------


def test_the_candidate_on_one_side_is_no_baseline_and_its_slowness_is_not_taken_for_the_hosts(
    stage: Stage,
) -> None:
    tells(stage.right, version="2.0")
    with pytest.raises(NotReady, match=r"version is '1\.0' on the baseline and '2\.0' on the candidate"):
        recorded(stage, SLOW)
    with stage.store() as store, pytest.raises(NotReady):
        store.baseline("default")


def test_an_imported_baseline_of_two_versions_is_refused_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tells(stage.right, version="2.0")
    with monkeypatch.context() as older:
        older.setattr(rehearsal, "check_same_version", lambda *_: None)
        recorded(stage, SLOW)
    with pytest.raises(NotReady, match="both run the known-good version"):
        stage.compare(script(blocks_of(replace(CALM, slowdown=SLOW))))


def test_counts_may_differ_and_a_number_that_names_a_version_may_not(stage: Stage) -> None:
    tells(stage.left, version="1.0", rows={"orders": 5}, build=41)
    tells(stage.right, version="1.0", rows={"orders": 6}, build=41)
    recorded(stage, {})
    tells(stage.right, version="1.0", rows={"orders": 6}, build=42)
    with pytest.raises(NotReady, match="build is '41' on the baseline and '42'"):
        recorded(stage, {})


def test_a_fact_may_differ_when_it_is_declared_unless_it_names_the_version(stage: Stage) -> None:
    tells(stage.left, version="1.0", host="blue")
    tells(stage.right, version="1.0", host="green")
    with pytest.raises(NotReady, match="host is 'blue'"):
        recorded(stage, {})
    declared = {"baseline.declared_differences": ["facts.host", "facts.version"]}
    recorded(stage, {}, **declared)
    tells(stage.right, version="2.0", host="green")
    with pytest.raises(NotReady, match="version is"):
        recorded(stage, {}, **declared)


def test_the_gate_says_what_names_a_version(stage: Stage) -> None:
    tells(stage.right, version="1.0+green")
    declared = {"baseline.declared_differences": ["facts.version"], "gate.identity": ["image_digest"]}
    recorded(stage, {}, **declared)
    tells(stage.right, version="1.0", image_digest="sha256:1")
    with pytest.raises(NotReady, match="image_digest is absent on the baseline"):
        recorded(stage, {}, **declared)


# --- in place -----------------------------------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as made:
        yield made


@pytest.fixture
def in_place(tmp_path: Path, site: Site) -> InPlace:
    project = make_project(tmp_path, site.url, site.url)
    project.edit(f'[targets.candidate]\nurl = "{site.url}"', "")
    project.edit("[targets.baseline]\n", '[targets.staging]\nrole = "in-place"\nfacts = "/version"\n')
    project.edit(
        'warm_up = "1s"\nblock = "1s"\nbudget = "8s"',
        'warm_up = "4s"\nblock = "4s"\nbudget = "120s"\nrounds = 3',
    )
    project.edit('floor = "40ms"\nshared = ["host"]', 'floor = "0.2ms"')
    project.edit('budget = "8s"', 'budget = "40s"')
    return InPlace(tmp_path)


def aborted(in_place: InPlace, site: Site) -> str:
    """1.0 was recorded, then 2.0 was deployed and did not pass."""
    in_place.baseline()
    tells(site, version="2.0", started_at="12:00")
    result = in_place.compare(replace(CALM_ALONE, slowdown=SLOW)).result
    assert result.verdict.decision is Decision.ABORT
    tells(site, version="2.0", started_at="12:30")
    return result.run_id


def test_a_candidate_that_was_abort_does_not_take_the_name_over(in_place: InPlace, site: Site) -> None:
    run_id = aborted(in_place, site)
    with pytest.raises(NotReady, match=f"version 2.0 is the candidate of run {run_id}, which ended in ABORT"):
        in_place.baseline()
    with Store.open(load_settings(in_place.file, {}, {}).store_url) as store:
        assert store.baseline("default").targets[0].facts["version"] == "1.0"


def test_it_is_recorded_when_somebody_says_so(in_place: InPlace, site: Site) -> None:
    aborted(in_place, site)
    settings = load_settings(in_place.file, {}, {"baseline.rounds": 3})
    parts = in_place._parts(scripts(CALM_ALONE, Side.BASELINE, seed=1))
    rehearsal.baseline(settings, parts, None, "test", accepts_candidate=True)
    with Store.open(settings.store_url) as store:
        assert store.baseline("default").targets[0].facts["version"] == "2.0"


def test_it_is_recorded_when_somebody_signed_for_it(in_place: InPlace, site: Site) -> None:
    run_id = aborted(in_place, site)
    with Store.open(load_settings(in_place.file, {}, {}).store_url) as store:
        moment = "2026-11-21T12:00:00+00:00"
        sign_off = SignOff(Decision.GO, "ada", "accepted", moment, Decision.ABORT, "0" * 64, "bob")
        store.add_sign_off(run_id, sign_off)
    in_place.baseline()


def test_the_known_good_version_can_be_recorded_again(in_place: InPlace, site: Site) -> None:
    """Also when it was its own candidate once, on a bad day."""
    aborted(in_place, site)
    tells(site, version="1.0")
    in_place.baseline()
    verdict = in_place.compare(replace(CALM_ALONE, slowdown=SLOW)).result.verdict
    assert verdict.decision is Decision.ABORT
    in_place.baseline()
