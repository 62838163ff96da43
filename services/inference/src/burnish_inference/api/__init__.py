"""The HTTP API: token check, routes, errors in OpenAI's shape, and the proxy to vLLM. Called by main.py, and by tests over fakes.

What an adapter must be belongs to `adapters/`, how vLLM is started and watched to `engine/`.
"""
