"""How a call gets to a service: HTTP and gRPC, TLS, tracing, and what a service that cannot be reached means. The clients of `sdk` call; nothing else does."""
