"""How the sides are compared is decided by the file, and by nothing that happens to answer."""

from __future__ import annotations

import pytest

from rehearse.config import load_settings
from rehearse.errors import ConfigError
from rehearse.model import Mode, Side
from tests.config.conftest import SMALLEST, Project

REST = SMALLEST[SMALLEST.index("[load]") :]


def targets(*names_and_roles: str) -> str:
    """`name` or `name:role`, each at a url of its own."""
    text = ""
    for number, item in enumerate(names_and_roles):
        name, _, role = item.partition(":")
        text += f'[targets.{name}]\nurl = "http://127.0.0.1:{8000 + number}"\n'
        text += f'role = "{role}"\n' if role else ""
    return text + REST


@pytest.mark.parametrize(
    ("given", "mode", "expected"),
    [
        (("baseline", "candidate"), "", Mode.PAIRED),
        (("a:candidate", "b:baseline"), "", Mode.PAIRED),
        (("baseline", "candidate"), "paired", Mode.PAIRED),
        (("baseline", "candidate"), "recorded", Mode.RECORDED),
        (("staging:in-place",), "", Mode.RECORDED),
        (("in-place",), "", Mode.RECORDED),
        (("staging:in-place",), "recorded", Mode.RECORDED),
    ],
)
def test_the_targets_decide_the_mode(
    project: Project, given: tuple[str, ...], mode: str, expected: Mode
) -> None:
    top = f'mode = "{mode}"\n' if mode else ""
    assert project.load(top + targets(*given)).resolved_mode is expected


@pytest.mark.parametrize("side", list(Side))
def test_in_place_one_address_of_a_dependency_does_for_both(project: Project, side: Side) -> None:
    address = '{ listen = "127.0.0.1:1", upstream = "127.0.0.1:2" }'
    settings = project.load(targets("in-place") + f"\n[edges.dependencies.cache]\n{side} = {address}\n")
    found = settings.edges.dependencies["cache"]
    assert found.of(Side.BASELINE) == found.of(Side.CANDIDATE) is not None


@pytest.mark.parametrize(
    ("given", "mode", "advice"),
    [
        ((), "", "targets: one baseline and one candidate are needed, or a single one in place; found: none"),
        (("baseline",), "", "targets: there is no candidate; add [targets.candidate] with its url."),
        (("baseline",), "recorded", "targets: there is no candidate; add [targets.candidate] with its url."),
        (("candidate",), "", "targets: there is no baseline; add [targets.baseline] with its url."),
        (("a:baseline", "b:baseline"), "", "found: a (baseline), b (baseline)"),
        (
            ("baseline", "candidate", "c:candidate"),
            "",
            "found: baseline (baseline), candidate (candidate), c (candi",
        ),
        (("baseline", "c:in-place"), "", "found: baseline (baseline), c (in-place)"),
        (("a:in-place", "b:in-place"), "", "found: a (in-place), b (in-place)"),
        (("staging:in-place",), "paired", "mode: 'paired' needs two targets; leave it out"),
    ],
)
def test_targets_that_cannot_be_compared_are_refused_with_advice(
    project: Project, given: tuple[str, ...], mode: str, advice: str
) -> None:
    top = f'mode = "{mode}"\n' if mode else ""
    [line] = project.mistakes(top + targets(*given))
    assert advice in line


def test_each_side_has_its_target(project: Project) -> None:
    settings = project.load(targets("new:candidate", "old:baseline"))
    assert settings.target(Side.BASELINE).name == "old"
    assert settings.target(Side.CANDIDATE).name == "new"


def test_in_place_both_sides_are_the_same_target(project: Project) -> None:
    settings = project.load(targets("staging:in-place"))
    assert settings.target(Side.BASELINE) is settings.target(Side.CANDIDATE)


def test_settings_changed_in_code_are_checked_again(project: Project) -> None:
    settings = project.load()
    lonely = settings.model_copy(update={"targets": settings.targets[:1]})
    with pytest.raises(ConfigError, match="there is no candidate"):
        _ = lonely.resolved_mode
    with pytest.raises(ConfigError, match="there is no candidate"):
        lonely.target(Side.CANDIDATE)


def test_settings_are_frozen(project: Project) -> None:
    settings = load_settings(project.write(SMALLEST), {}, {})
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings.load, "rate", 5)  # noqa: B010  a type checker would refuse the assignment
