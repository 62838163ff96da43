"""The `burnish` command: one file a noun. Nothing heavy is imported before a command runs, so that --help is instant."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from burnish.errors import BurnishError, Code
from burnish_client.cli.commands import demo, login, stack
from burnish_client.cli.commands.data import benchmark, dataset, diagnose, review, runs
from burnish_client.cli.commands.evaluation import eval_plan, evaluate, judge, probe, verdict
from burnish_client.cli.commands.training import adapters, jobs, train
from burnish_client.cli.options.groups import RunsByDefault
from burnish_client.cli.views import console
from burnish_client.sdk import tracing

BAD_INPUT = frozenset({Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE})

ORDER = (
    "up",
    "status",
    "down",
    "login",
    "logout",
    "demo",
    "runs",
    "diagnose",
    "review",
    "dataset",
    "train",
    "jobs",
    "adapters",
    "benchmark",
    "judge",
    "eval",
    "verdict",
    "probe",
)


class InOrderOfUse(TyperGroup):
    """Lists commands as a user comes to need them."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    name="burnish",
    cls=InOrderOfUse,
    help="Turn the repeated failures of an LLM application into a LoRA adapter, and prove that it fixed them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)
app.command("up", rich_help_panel="The stack")(stack.up)
app.command("status", rich_help_panel="The stack")(stack.status)
app.command("down", rich_help_panel="The stack")(stack.down)
app.command("login", rich_help_panel="The stack")(login.login)
app.command("logout", rich_help_panel="The stack")(login.logout)
app.command("demo", rich_help_panel="The stack")(demo.demo)
app.add_typer(runs.app, name="runs", rich_help_panel="The loop")
app.command("diagnose", rich_help_panel="The loop")(diagnose.diagnose)
app.add_typer(review.app, name="review", rich_help_panel="The loop")
app.add_typer(dataset.app, name="dataset", rich_help_panel="The loop")
app.add_typer(train.app, name="train", rich_help_panel="The loop")
app.add_typer(jobs.app, name="jobs", rich_help_panel="The loop")
app.add_typer(adapters.app, name="adapters", rich_help_panel="The loop")
app.add_typer(benchmark.app, name="benchmark", rich_help_panel="The loop")
app.add_typer(judge.app, name="judge", rich_help_panel="The loop")
evaluation = typer.Typer(
    cls=RunsByDefault,
    help="Compare base and adapter on a benchmark (run, the default), or plan that.",
    no_args_is_help=True,
)
evaluation.command("run", cls=evaluate.EvalCommand)(evaluate.evaluate)
evaluation.command("plan")(eval_plan.plan)
app.add_typer(evaluation, name="eval", rich_help_panel="The loop")
app.command("verdict", rich_help_panel="The loop")(verdict.verdict)
app.add_typer(probe.app, name="probe", rich_help_panel="The loop")


@app.callback()
def burnish() -> None:
    """Turn the repeated failures of an LLM application into a LoRA adapter, and prove that it fixed them."""


def run(arguments: list[str] | None = None) -> int:
    """Run one command line; the exit code: 0 done, 2 bad input, 1 any other error, 130 interrupted (verdict has more)."""
    root = typer.main.get_command(app)
    with tracing.command(command_name(root, sys.argv[1:] if arguments is None else arguments), console.note):
        return _run(root, arguments)


def command_name(root: Any, words: Sequence[str]) -> str:
    """`burnish train run` for `burnish train run --dataset …`: the command alone, and nothing that a user gave it."""
    names, command = ["burnish"], root
    for word in words:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        names.append(word)
    return " ".join(names)


def _run(root: Any, arguments: list[str] | None) -> int:
    try:
        return int(root(args=arguments, prog_name="burnish", standalone_mode=False) or 0)
    except TyperException as error:
        if not error.format_message().strip():  # no arguments: the help has been printed
            return error.exit_code
        context = getattr(error, "ctx", None)
        console.error(
            error.format_message(), f"`{context.command_path} --help` shows what it takes" if context else None
        )
        return error.exit_code
    except typer.Abort:
        return 130
    except BurnishError as error:
        _raise_in_debug()
        console.burnish_error(error)
        return 2 if error.code in BAD_INPUT else 1
    except Exception as error:
        _raise_in_debug()
        console.error(
            f"unexpected {type(error).__name__}: {error}",
            "BURNISH_DEBUG=1 shows where; please report it with that output",
        )
        return 1


def _raise_in_debug() -> None:
    """Raise the exception that is being handled again, with its traceback, where BURNISH_DEBUG=1."""
    if os.environ.get("BURNISH_DEBUG") == "1":
        raise


def main() -> None:
    os.environ.setdefault(
        "GRPC_VERBOSITY", "NONE"
    )  # its core's own lines on stderr: we tell what failed and what to do
    sys.exit(run())
