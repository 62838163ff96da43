"""Preflight: what is wrong or unwise about a job, found on its rows before it takes a device.

process.py is the server's side (imports nothing heavy); checker.py the child process, which holds the tokenizer and calls
examine.py. Every family of checks is a file of pure functions from rows to findings; registry.py lists all their codes.
"""
