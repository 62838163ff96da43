"""Run logs: streaming ingest into immutable columnar parts, and the rows read back from them.

Called by the curator; `prompt_messages` by everyone who builds a prompt from a run. Imports no torch, no web, no network.
"""

from burnish.runlogs.prompts import prompt_messages

__all__ = ["prompt_messages"]
