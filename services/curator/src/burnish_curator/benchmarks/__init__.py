"""Benchmarks: import, listing, questions."""
