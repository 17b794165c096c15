"""What ended a request, said by the client that made it: not every system answers with an HTTP status."""

from __future__ import annotations

from rehearse.model import RequestOutcome


class KnownFailure(Exception):
    """A failure that is classified already; given to Locust's `request` event as its exception."""

    def __init__(self, outcome: RequestOutcome, kind: str, is_answered: bool) -> None:
        super().__init__(kind)
        self.outcome = outcome
        self.kind = kind  # without values: it is counted and shown
        self.is_answered = is_answered  # the system said something, if only that it will not
