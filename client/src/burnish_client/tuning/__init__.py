"""Many training runs for one question: which parameters (sweep), which method (compare). Called by `burnish train`.

Imports optuna only in `study` and `sweep`, which the command line loads when a sweep runs. Prints nothing.
"""
