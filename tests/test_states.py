"""What targets say of their data, in a whole rehearsal: asked before and after the load, compared, shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearse.errors import ConfigError, NotComparable, NotReady
from rehearse.load.engine import LoadEvent
from rehearse.model import Decision, Moment, Side
from tests.project import make_project
from tests.servers import Site, serving
from tests.test_rehearsal import CALM, Stage, blocks_of, script


def says(site: Site, orders: int, data_set: str = "november") -> None:
    site.body = json.dumps({"version": "1.0", "data_set": data_set, "rows": {"orders": orders}}).encode()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serving() as left, serving() as right:
        project = make_project(tmp_path, left.url, right.url)
        for site in (left, right):
            project.edit(f'url = "{site.url}"', f'url = "{site.url}"\nstate = "/state"')
            says(site, 50_000)
        yield Stage(tmp_path, left, right)


def growing(stage: Stage) -> Iterator[LoadEvent]:
    """Orders are placed while the load runs, on the candidate twice as many."""
    says(stage.left, 50_800)
    says(stage.right, 51_600)
    yield from script(blocks_of(CALM))


class Growing(list[LoadEvent]):
    """A script that changes what the sites say when it is played."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def __iter__(self) -> Iterator[LoadEvent]:
        return growing(self._stage)


def test_the_growth_under_load_is_in_the_report(stage: Stage) -> None:
    stage.baseline()
    comparison = stage.compare(Growing(stage))
    assert comparison.result.verdict.decision is Decision.GO
    told = {(one.side, one.moment): one.rows["orders"] for one in comparison.result.data}
    assert told == {
        (Side.BASELINE, Moment.BEFORE): 50_000,
        (Side.CANDIDATE, Moment.BEFORE): 50_000,
        (Side.BASELINE, Moment.AFTER): 50_800,
        (Side.CANDIDATE, Moment.AFTER): 51_600,
    }
    page = next(path for path in comparison.reports if path.suffix == ".html").read_text()
    assert "+1,600" in page
    assert "november" in page


@pytest.mark.parametrize(("orders", "data_set"), [(50_000, "december"), (5_000, "november")])
def test_other_data_is_refused_before_load(stage: Stage, orders: int, data_set: str) -> None:
    stage.baseline()
    says(stage.right, orders, data_set)
    with pytest.raises(NotComparable, match="declared_differences"):
        stage.compare([])


@pytest.mark.parametrize(
    "body", [b"{}", b'{"rows": {"orders": -1}}', b'{"rows": {"orders": "many"}}', b"[]", b"<"]
)
def test_a_state_that_says_nothing_is_not_ready(stage: Stage, body: bytes) -> None:
    stage.right.body = body
    with pytest.raises(NotReady, match="state from '/state'"):
        stage.baseline()


def test_a_command_can_tell_it(stage: Stage) -> None:
    (stage.root / "state.json").write_text('{"data_set": "november", "rows": {"orders": 50000}}')
    file = stage.root / "rehearse.toml"
    file.write_text(file.read_text().replace('state = "/state"', 'state = ["cat", "state.json"]'))
    stage.baseline()
    assert stage.compare(script(blocks_of(CALM))).result.data[0].data_set == "november"


def test_one_side_alone_is_a_mistake(stage: Stage) -> None:
    file = stage.root / "rehearse.toml"
    file.write_text(file.read_text().replace('state = "/state"', "", 1))
    with pytest.raises(ConfigError, match=r"targets\.baseline\.state: is missing"):
        stage.settings()


def test_production_rows_without_state_are_a_mistake(stage: Stage) -> None:
    file = stage.root / "rehearse.toml"
    text = file.read_text().replace('state = "/state"', "")
    file.write_text(f"{text}\n[state]\nproduction_rows = {{ orders = 48000000 }}\n")
    with pytest.raises(ConfigError, match="no target has `state`"):
        stage.settings()
