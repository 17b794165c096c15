"""Load on schedule: arrivals as data, one Locust process per side, every arrival accounted for.

For scenarios: `from rehearse.load import LeanHttpUser, SqlUser`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rehearse.load.lean import LeanHttpUser
    from rehearse.load.sql_user import SqlUser

__all__ = ["LeanHttpUser", "SqlUser"]


def __getattr__(name: str) -> object:
    """Only a scenario, inside a worker, asks for them: to import them patches the whole process."""
    if name == "LeanHttpUser":
        from rehearse.load.lean import LeanHttpUser

        return LeanHttpUser
    if name == "SqlUser":
        from rehearse.load.sql_user import SqlUser

        return SqlUser
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
