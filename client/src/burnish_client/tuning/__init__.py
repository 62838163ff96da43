"""Many training runs for one question: which parameters (sweep), which method (compare). Called by `burnish train`.

Imports optuna in `journal`, `study` and `sweep` only, which the command line loads when a sweep runs.
"""
