"""Simulated experiments with a known truth, decided by burnish.verdict.decision and by three rivals. Run by bench_verdict.py."""
