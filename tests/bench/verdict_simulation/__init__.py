"""Simulated experiments with a known truth, decided by burnish.verdict and by three rivals. Run by bench_verdict.py."""
