"""Traces that OpenTelemetry exporters send: kept in the bucket, and cut into run logs from time to time.

What a span means is core's (`burnish.runlogs.readers`, `burnish.runlogs.traces`). Files of traces are imported by the client, not here.
"""
