"""Errors: what is shown when something fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import httpx


@pytest.mark.breakage(
    id="SHOP-6",
    broke_on="2026-03-04",
    component="error pages",
    severity="warn",
    ref="https://github.com/RedHatInsights/vmaas/issues/135",
)
def test_the_error_page_says_which_request_failed(candidate: httpx.Client) -> None:
    """2.0 put a datetime on its error page, which json.dumps cannot write: support had no request id to search for."""
    page = candidate.get("/boom")
    assert '"request_id"' in page.text, f"the error page names no request: {page.text[:80]!r}"
