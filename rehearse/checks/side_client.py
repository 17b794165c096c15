"""The HTTP client of one side."""

from __future__ import annotations

from typing import Any

import httpx

from rehearse.tls import TlsOrder


class SideClient(httpx.Client):
    """An HTTP client that tells how it shows itself: what asks the same host over a plain socket does it alike."""

    def __init__(self, tls: TlsOrder, **options: Any) -> None:  # noqa: ANN401  # httpx's own
        super().__init__(**options)
        self.tls = tls
