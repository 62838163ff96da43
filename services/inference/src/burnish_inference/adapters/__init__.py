"""Adapters: found in the object store, fetched once, checked against the base, loaded into vLLM on first use."""
