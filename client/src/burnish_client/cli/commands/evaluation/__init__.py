"""Commands about evaluation: `eval`, its plan, `verdict`, `judge` and `probe`. Each parses its options and calls.

Asking, grading and output belong to burnish_client.evaluation, printing to cli/views. Called by cli/app.py alone.
"""
