"""A real service that cannot get out of its own retries is caught; its cured twin and a slow one are not."""

from __future__ import annotations

import pytest

from bench.edges.metastable import TWINS, Twin, run_once

pytestmark = pytest.mark.live
TIMES = 3  # a ruling that holds once may be luck


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
@pytest.mark.parametrize("time", range(TIMES))
def test_a_real_service_is_ruled_on_as_it_deserves(twin: Twin, time: int) -> None:
    row = run_once(twin)  # which makes sure that the hang was really injected
    assert row.is_right, row
