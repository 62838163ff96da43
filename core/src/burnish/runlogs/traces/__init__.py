"""What all readers share: files to records, pieces of traces, their joining on disk, rules for scores, and the one mapper to run log lines.

Called by `burnish_client.imports` and the curator's `POST /v1/traces`. A format's own names belong to `burnish.runlogs.readers`. pyarrow is imported
late, for Parquet and zstd alone.
"""
