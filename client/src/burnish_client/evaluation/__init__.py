"""Evals: ask any OpenAI-compatible endpoint, grade, compare base and candidate, write the report.

`request` has what goes in (`EvalRequest`, `EvalInputs`), `comparison.evaluate` does it, `asking.ask.ask_sides` only asks. Called by
the CLI, the demo and users of the SDK. No command, nothing that prints, and no service belongs here.
"""
