"""Evals: files in, a manifest that seals them, and both out again. Called over HTTP by the client, which asks and grades.
Nothing here judges an answer.
"""
