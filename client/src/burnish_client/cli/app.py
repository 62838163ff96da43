"""The command line assembled: every command in the order in which a user comes to need it, and how errors become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from burnish.errors import BurnishError, Code
from burnish_client.cli.commands import demo, login, model, stack
from burnish_client.cli.commands.data import (
    benchmark,
    clusters,
    dataset,
    diagnose,
    erase,
    lineage,
    review,
    runs,
    suggest,
    suggestions,
)
from burnish_client.cli.commands.evaluation import eval_plan, evaluate, judge, probe, stored, try_cluster, verdict
from burnish_client.cli.commands.training import adapters, compare, jobs, sweep, train
from burnish_client.cli.options.common import RunsByDefault
from burnish_client.cli.views import console
from burnish_client.sdk.transport import tracing

BAD_INPUT = frozenset({Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE})


STACK, LOOP = "The stack", "The loop"

evaluation = typer.Typer(
    cls=RunsByDefault,
    help="Compare base and adapter on a benchmark (run, the default), plan that, or list and remove what is stored.",
    no_args_is_help=True,
)
evaluation.command("run", cls=evaluate.EvalCommand)(evaluate.evaluate)
evaluation.command("plan")(eval_plan.plan)
evaluation.command("ls")(stored.list_evals)
evaluation.command("rm")(stored.remove_eval)
review.app.command("suggest")(suggest.suggest)
review.app.add_typer(suggestions.app, name="suggestions")
train.app.command("compare")(compare.compare)
train.app.add_typer(sweep.app, name="sweep")

# In the order in which a user comes to need them: a function or a group, and its panel in the help.
COMMANDS: dict[str, tuple[Callable[..., None] | typer.Typer, str]] = {
    "up": (stack.up, STACK),
    "status": (stack.status, STACK),
    "down": (stack.down, STACK),
    "model": (model.app, STACK),
    "login": (login.login, STACK),
    "logout": (login.logout, STACK),
    "token": (login.token, STACK),
    "demo": (demo.demo, STACK),
    "runs": (runs.app, LOOP),
    "clusters": (clusters.app, LOOP),
    "diagnose": (diagnose.diagnose, LOOP),
    "try": (try_cluster.try_cluster, LOOP),
    "review": (review.app, LOOP),
    "dataset": (dataset.app, LOOP),
    "train": (train.app, LOOP),
    "jobs": (jobs.app, LOOP),
    "adapters": (adapters.app, LOOP),
    "benchmark": (benchmark.app, LOOP),
    "judge": (judge.app, LOOP),
    "eval": (evaluation, LOOP),
    "verdict": (verdict.verdict, LOOP),
    "probe": (probe.app, LOOP),
    "lineage": (lineage.lineage, LOOP),
    "erase": (erase.erase, LOOP),
}


class InOrderOfUse(TyperGroup):
    """Lists commands in the order of COMMANDS; typer alone lists functions before groups."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return sorted(super().list_commands(ctx), key=list(COMMANDS).index)


app = typer.Typer(
    name="burnish",
    cls=InOrderOfUse,
    help="Turn the repeated failures of an LLM application into a LoRA adapter, and prove that it fixed them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def burnish(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """What `burnish` takes before a command."""
    if version:
        from importlib.metadata import version as version_of

        console.out().print(f"burnish {version_of('burnish-client')}")
        raise typer.Exit


for _name, (_command, _panel) in COMMANDS.items():
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name, rich_help_panel=_panel)
    else:
        app.command(_name, rich_help_panel=_panel)(_command)


def run(arguments: list[str] | None = None) -> int:
    """Run one command line. The exit code: 0 done, 2 bad input, 1 any other error, 130 interrupted (verdict has more)."""
    root = typer.main.get_command(app)
    words = sys.argv[1:] if arguments is None else arguments
    with tracing.command(command_name(root, words), console.note):
        try:
            return int(root(args=words, prog_name="burnish", standalone_mode=False) or 0)
        except typer.Abort:
            return 130
        except TyperException as error:
            return _report_usage(error)
        except Exception as error:
            if os.environ.get("BURNISH_DEBUG") == "1":
                raise
            return _report(error)


def command_name(root: Any, words: Sequence[str]) -> str:
    """`burnish train sft` for `burnish train sft --dataset …`: only the command, and nothing that a user gave it."""
    names, command = ["burnish"], root
    for word in words:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        names.append(word)
    return " ".join(names)


def _report_usage(error: TyperException) -> int:
    message, context = error.format_message(), getattr(error, "ctx", None)
    if message.strip():  # empty without any arguments: the help has been printed
        console.error(message, f"`{context.command_path} --help` shows what it takes" if context else None)
    return error.exit_code


def _report(error: Exception) -> int:
    if isinstance(error, BurnishError):
        console.burnish_error(error)
        return 2 if error.code in BAD_INPUT else 1
    hint = "BURNISH_DEBUG=1 shows where; please report it with that output"
    console.error(f"unexpected {type(error).__name__}: {error}", hint)
    return 1
