"""Load on schedule: arrivals as data, one Locust process per side, every arrival accounted for.

For scenarios there is `from rehearse.load import LeanHttpUser`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rehearse.load.lean import LeanHttpUser

__all__ = ["LeanHttpUser"]


def __getattr__(name: str) -> object:
    """LeanHttpUser, imported when a scenario asks for it: it brings gevent with it, which patches the process."""
    if name != "LeanHttpUser":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rehearse.load.lean import LeanHttpUser

    return LeanHttpUser
