"""One Chromium for all pages of a file: to start it takes longer than to look at a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.browser import Browser


@pytest.fixture(scope="module")
def browser(chromium_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Each test opens a page of its own in it."""
    with Browser(chromium_path, tmp_path_factory.mktemp("profile")) as browser:
        yield browser
