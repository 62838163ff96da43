"""`burnish probe`: the general probe set that Burnish ships, for use with other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

app = typer.Typer(help="The probe set that shows what a model forgot.", no_args_is_help=True)


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="Folder to write into; made if it is missing.", file_okay=False)],
    json: JsonFlag = False,
) -> None:
    """Write the probe set as tasks for lm-evaluation-harness: burnish_probe and burnish_texts."""
    from burnish.probe import probe_questions, probe_texts, probe_version, write_lm_eval_tasks

    written = write_lm_eval_tasks(folder)
    if json:
        return console.print_json({"version": probe_version(), "files": [str(path) for path in written]})
    console.out().print(
        f"[bold green]wrote[/] {folder}: {len(probe_questions())} questions, {len(probe_texts())} texts (probe {probe_version()})",
        soft_wrap=True,
    )
    console.next_step(f"lm_eval --include_path {folder} --tasks burnish_probe --model local-chat-completions …")
