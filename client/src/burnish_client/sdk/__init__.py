"""The Python SDK: one client a service (`curator`, `trainer`, `inference`), and what they share: connections, TLS, errors, tracing.

The command line, the demo, the eval client and other people's programs call it. Nothing here prints or parses a command
line (no rich, no typer), and nothing imports `cli`, `stack`, `tuning` or `evaluation`.
"""
