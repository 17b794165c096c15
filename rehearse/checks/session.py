"""What one session of pytest knows of checks, where plugin, fixtures and child process find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from rehearse.checks.context import CheckedSide
    from rehearse.checks.orders import CheckOrder
    from rehearse.model import CheckResult

# What is asked, and what proves a side to be there and to be staging before it is asked first.
Reach: TypeAlias = "Callable[[], tuple[CheckOrder, Callable[[CheckedSide], CheckedSide]]]"

REACH = pytest.StashKey["Reach"]()
ORDER = pytest.StashKey["CheckOrder"]()  # of our own child process
REFUSALS = pytest.StashKey[list[str]]()  # hosts and methods that the check under way was refused
PLANNED = pytest.StashKey[dict[str, "CheckResult"]]()  # every check that was collected, by node id
MISTAKES = pytest.StashKey[list[str]]()  # in markers
