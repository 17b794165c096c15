"""`[contract]` and `[[waivers]]`: what cannot be meant is refused, with the nearest valid word."""

from __future__ import annotations

import pytest

from rehearse.config.policy import policy_of
from rehearse.errors import ConfigError
from rehearse.model import ContractRules, Waiver
from tests.config.conftest import SMALLEST, Project

WAIVER = """
[[waivers]]
finding = "contract: GET /orders/[id] 200 $.total type"
person = "Mara Lind"
reason = "the mobile app reads both"
until = 2026-12-31
"""


def test_waivers_and_rules_are_part_of_the_policy(project: Project) -> None:
    text = "\n[contract]\nignore_headers = ['ETag']\nignore_places = ['$.meta']\nvalues = 'gate'\n"
    policy = policy_of(project.load(SMALLEST + text + WAIVER))
    assert policy.contract == ContractRules(ignored_places=("$.meta", "header etag"), values="gate")
    assert policy.waivers == (
        Waiver(
            "contract: GET /orders/[id] 200 $.total type",
            "Mara Lind",
            "the mobile app reads both",
            "2026-12-31",
        ),
    )


def test_switched_off_it_is_no_part_of_it(project: Project) -> None:
    assert policy_of(project.load(SMALLEST + "\n[contract]\nenabled = false\n")).contract is None


@pytest.mark.parametrize(
    "finding",
    [
        "contract: GET /orders 200 header content-type header",
        "contract: GET /orders 200 header set-cookie sid header",
        "contract: POST / a list 201 $.items[*].price null",
        'contract: GET /x 200 $["odd key"].a format',
        "contract: GET /x 200 - status",
        "check: INC-231",
    ],
)
def test_every_id_of_a_finding_can_be_waived(project: Project, finding: str) -> None:
    text = WAIVER.replace('"contract: GET /orders/[id] 200 $.total type"', f"'{finding}'")
    assert policy_of(project.load(SMALLEST + text)).waivers[0].finding == finding


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("$.total type", "$.total typ", r"waivers\[0\]\.finding: .* ends in 'typ'. Did you mean 'type'\?"),
        ("contract: GET", "worker_lost: GET", "copy it from the report"),
        ("200 $.total", "$.total", "copy it from the report"),
        ("until = 2026-12-31", "until = 'soon'", r"waivers\[0\]\.until: 'soon' is not a date"),
        ("until = 2026-12-31", "", r"waivers\[0\]\.until: is missing"),
        ('person = "Mara Lind"', 'person = " "', "is blank"),
        ("reason", "because", "is an unknown key"),
    ],
)
def test_a_malformed_waiver_is_a_mistake(project: Project, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        project.load(SMALLEST + WAIVER.replace(old, new, 1))
