"""The demo: a benchmark made from this machine's standard library, and the whole loop run on it.

Called by `burnish demo` and the e2e tests. It works through the SDK, the eval client and the stack, and prints with
`cli.views`; it imports no command.
"""

from burnish_client.demo.main_job import NotImprovedError, run
from burnish_client.demo.recipe import FULL, SMALL, Recipe

__all__ = ["FULL", "SMALL", "NotImprovedError", "Recipe", "run"]
