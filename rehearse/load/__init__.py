"""Load on schedule: arrivals as data, one Locust process per side, every arrival accounted for.

For scenarios: `from rehearse.load import SqlUser`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rehearse.load.sql_user import SqlUser as SqlUser


def __getattr__(name: str) -> Any:  # noqa: ANN401  # a module's attribute may be anything
    """Only a scenario, inside a worker, asks for it: to import it patches the whole process."""
    if name == "SqlUser":
        from rehearse.load.sql_user import SqlUser

        return SqlUser
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
