"""Run logs: streaming ingest into immutable columnar parts, and the rows read back from them.

Called by the curator; `prompt_messages` by everyone who builds a prompt from a run. Imports no torch, no web, no network.
"""

from burnish.runlogs.ingestion import Ingested, Limits, ingest
from burnish.runlogs.prompts import prompt_messages
from burnish.runlogs.reader import RunLogReader
from burnish.runlogs.storage import files_of, publish, read_manifest

__all__ = ["Ingested", "Limits", "RunLogReader", "files_of", "ingest", "prompt_messages", "publish", "read_manifest"]
