"""Burnish inference: an OpenAI-compatible front before a supervised vLLM, with adapters loaded on demand."""
