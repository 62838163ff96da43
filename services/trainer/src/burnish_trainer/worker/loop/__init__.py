"""The training loop that every method's run shares: arguments, progress, monitor, trackers, reference pass.

All of it imports transformers, so the backend is prepared first. What is a method's own belongs to methods/.
"""
