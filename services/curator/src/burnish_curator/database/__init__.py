"""The curator's database: review state only. SQLite (WAL) embedded, Postgres by URL; brought up to date on opening."""

from burnish_curator.database.engine import open_database
from burnish_curator.database.tables import CorrectionRow

__all__ = ["CorrectionRow", "open_database"]
