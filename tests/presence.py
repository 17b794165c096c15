"""What a test needs and does not find: a skip on somebody's own machine, and a failure in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """End the test: in CI a skipped real part would read as a tested one."""
    if os.environ.get("CI", "").lower() not in {"", "0", "false"}:
        pytest.fail(f"{reason}, and in CI that is no reason to skip", pytrace=False)
    pytest.skip(reason)
