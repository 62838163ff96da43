"""Run logs: streaming ingest into immutable columnar parts, and the rows read back from them.

Called by the curator; `prompts` by everyone who builds a prompt from a run. Imports no torch, no web, no network. `ingestion`, `columns` and `reader` need
pyarrow (the extra `runlogs`), so nothing is imported here.
"""
