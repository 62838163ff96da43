"""What every service and the client agree on so that one request can be followed through them: log lines, trace ids, requests.

logs.py needs the standard library alone; tracing.py needs OpenTelemetry (extra `tracing` of burnish-core) and metrics.py
prometheus_client (extra `metrics`), both imported inside. Nothing else of core imports this package.
"""
