"""The engine: claims queued jobs, has them prepared, and drives each on its devices. What is to be done with a job is decided
from data alone by policy.py:next_action; the other modules act on it. Started by main.py, in the server's process.
No RPC, no table and no torch belong here.
"""
