"""The commands, one file a noun: each parses its options, calls the SDK, the stack or an eval, and hands the result to a view.

Only `cli.app` imports them. A command imports no other command; what two of them share goes to `options/`, `views/` or the SDK.
"""
