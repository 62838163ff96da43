"""Benchmarks: what a version is made of, and a draft of one from a run log."""
