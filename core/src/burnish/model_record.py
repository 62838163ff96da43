"""`burnish-model record FOLDER --name NAME`: write the record that makes a folder a base model of Burnish.

`burnish model add` does this too, and checks the model first. Called by it, by set-up and by tests.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from burnish.digests import model_digest
from burnish.errors import BurnishError
from burnish.model_files import check_files
from burnish.schemas.models import RECORD, BaseModelRecord


def record(folder: Path, name: str, source: str, licence: str, *, afresh: bool = True) -> BaseModelRecord:
    """Digest the folder and write its burnish-model.json, over an earlier one. afresh: read files that were read before, too.

    NotFoundError if it holds no model, PreconditionError if its weights are quantised already.
    """
    check_files(folder)
    made = BaseModelRecord(name=name, digest=model_digest(folder, afresh=afresh), source=source, licence=licence)
    (folder / RECORD).write_text(made.model_dump_json(indent=2) + "\n")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(prog="burnish-model", description=__doc__)
    command = parser.add_subparsers(required=True).add_parser("record", help="write FOLDER/burnish-model.json")
    command.add_argument("folder", type=Path, help="Hugging Face folder: config, tokenizer, *.safetensors")
    command.add_argument("--name", required=True, help="what requests call the model")
    command.add_argument("--source", default="unknown", help="where it came from, for whoever reads the record")
    command.add_argument("--licence", default="unknown", help="its licence, for whoever reads the record")
    given = parser.parse_args()
    try:
        made = record(given.folder, given.name, given.source, given.licence)
    except BurnishError as error:
        sys.exit(f"error: {error.message}")
    print(f"{given.folder / RECORD}: {made.name} {made.digest[:19]}…")


if __name__ == "__main__":
    main()
