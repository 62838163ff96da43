"""Options that several commands share, and how their words become values. Called by `commands`.

No option of a single command, and nothing that prints.
"""
