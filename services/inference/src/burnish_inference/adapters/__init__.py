"""Adapters: found in the object store, fetched once, checked against the base, loaded into vLLM on first use.

Called by `api/`. Nothing here speaks to callers, and nothing imports torch: vLLM is asked over HTTP.
"""
