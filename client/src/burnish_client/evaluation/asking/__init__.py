"""Asking an OpenAI-compatible endpoint: one chat, many at once, how hard it is pressed, and the log and cache of its answers.

Grades nothing. Called by the rest of `evaluation/`, which decides what is asked.
"""
