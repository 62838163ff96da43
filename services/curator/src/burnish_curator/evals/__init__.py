"""Evals: files, manifest, listing."""
