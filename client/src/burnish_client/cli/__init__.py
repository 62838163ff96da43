"""The `burnish` command: `app` assembles it from `commands/` (parse and call), `options/` and `views/` (print).

Nothing heavy is imported before a command runs, so that --help is instant. No other room imports `commands`; the demo uses `views`.
"""


def main() -> None:
    """Entry point of the `burnish` script."""
    import os
    import sys

    # Keep gRPC's own lines off stderr: a command says itself what failed and what to do.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from burnish_client.cli.app import run

    sys.exit(run())
