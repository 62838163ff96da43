"""The device that vLLM runs on, and its lease to a training job: who holds it, and how vLLM leaves it and comes back (ADR 17).

`machine.py` decides and nothing else; the others act. `api/` calls in; vLLM itself is `engine/`'s.
"""
