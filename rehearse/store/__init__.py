"""Where every run is kept: one SQLite file, or one PostgreSQL database for a team."""

from rehearse.store.records import Store

__all__ = ["Store"]
