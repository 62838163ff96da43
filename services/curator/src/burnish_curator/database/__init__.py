"""The curator's database: review state only. SQLite (WAL) embedded, Postgres by URL; brought up to date when it is opened.

Opened by main.py; only the reviews' repositories read and write it. Everything else of the curator is an object in the store.
"""

from burnish_curator.database.engine import open_database, transaction
from burnish_curator.database.tables import (
    ReviewEventRow,
    ReviewItemRow,
    ReviewLeaseRow,
    ReviewLogRow,
    ReviewSuggestionRow,
)

__all__ = [
    "ReviewEventRow",
    "ReviewItemRow",
    "ReviewLeaseRow",
    "ReviewLogRow",
    "ReviewSuggestionRow",
    "open_database",
    "transaction",
]
