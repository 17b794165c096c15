"""What the stories of a cutover are played on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearse.cutting_over import orders
from tests.cutover.stage import BLOCK_S, CONFIG, Stage
from tests.servers import serving


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(orders, "SHORTEST_BLOCK_S", BLOCK_S)
    monkeypatch.setattr(orders, "FEWEST_ARRIVALS", 1)
    with serving(body=b'{"version": "1.0"}') as site:
        (tmp_path / "rehearse.toml").write_text(CONFIG.format(url=site.url))
        (tmp_path / "visit.py").write_text("")
        yield Stage(tmp_path, site)
