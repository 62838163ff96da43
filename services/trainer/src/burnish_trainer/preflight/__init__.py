"""Preflight: what is wrong or unwise about a job, and what it will cost, found on its rows before it takes a device.

planner.py is called by the scheduler and by rpc; it asks process.py, the server's side of the checker process. Only that
process (checker.py, examine.py, base_model.py, checks/) holds a tokenizer. No torch and no queue here.
"""
