"""Graders: one file a grader, each one decorated function whose arguments are recorded in the benchmark question.

A grader answers (answer, expected, **args) with a Grade; it skips with a reason where it cannot grade. Called by the
eval client and by whoever makes a run log; must stay free of I/O.
"""
