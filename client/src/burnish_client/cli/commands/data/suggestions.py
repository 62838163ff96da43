"""`burnish review suggestions`: who suggested how much, and its removal."""

from __future__ import annotations

from typing import Annotated

import typer

import burnish_client
from burnish_client.cli.options.common import RunLog
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.data import suggest_text

app = typer.Typer(help="Suggestions of other models: who gave how many, and their removal.", no_args_is_help=True)


@app.command("ls")
def list_teachers(run_log: RunLog = None, json: JsonFlag = False) -> None:
    """List the models that suggested answers: how many, and what graders say of them."""
    with burnish_client.CuratorClient.from_settings() as client:
        run_log_id = client.find_run_log(run_log).id
        teachers = client.suggestion_teachers(run_log_id)
    empty = f"no suggestions yet: burnish review suggest {run_log_id} --model URL#NAME"
    console.show_models(teachers, suggest_text.teacher_row, *suggest_text.TEACHER_COLUMNS, json=json, empty=empty)


@app.command("rm")
def remove_suggestions(
    run_log: Annotated[str, typer.Argument(help="Id or name of the run log; of several with one name, the newest.")],
    model: Annotated[str, typer.Option(help="The model, as `ls` has it.")],
    host: Annotated[str | None, typer.Option(help="Only from this host. Default: from all.")] = None,
) -> None:
    """Remove what a model suggested, for good. Corrections that took it stay, and so do datasets. `suggest` would ask it again."""
    from burnish_client.evaluation.suggesting import replies_file

    settings = burnish_client.ClientSettings()
    with burnish_client.CuratorClient.from_settings(settings) as client:
        run_log_id = client.find_run_log(run_log).id
        hosts = [each.host for each in client.suggestion_teachers(run_log_id) if each.model == model]
        done = client.remove_suggestions(run_log_id, model, host)
    for each in hosts if host is None else [host]:
        replies_file(settings.home, run_log_id, each, model).unlink(missing_ok=True)  # of a call that was cut short
    kept = f"; corrections have the text of {done.accepted:,} of them, and stay" if done.accepted else ""
    console.out().print(
        f"[bold green]removed[/] {done.removed:,} suggestions of {console.one_line(model)} from run log {run_log_id}{kept}"
    )
