"""Alembic migrations of the queue; run by database.py at every start."""
