"""vLLM as a supervised child process: its command, its guard, and the supervisor that restarts it. Started by main.py.

`api/` and `adapters/` know it as the port in port.py. Nothing here knows of adapters or callers.
"""
