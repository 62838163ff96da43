"""What is printed and how: tables, facts, progress, JSON. Called by `commands` and the demo.

Nothing here parses options, and nothing imports a command.
"""
