"""Burnish inference: an OpenAI-compatible server before a supervised vLLM, with adapters loaded on demand. Called over HTTP.

`api/` speaks HTTP, `adapters/` decides what may be loaded, `engine/` keeps vLLM running, `vllm_cpu_lora/` runs inside vLLM.
Imports flow in that order; grading, training and datasets belong elsewhere.
"""
