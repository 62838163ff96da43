"""`burnish train <method>`: submit a tuning job and follow it, or only check and estimate it (--dry-run)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from burnish_client.cli.options.training import (
    JobOptions,
    QueueOptions,
    hyperparameter_options,
    queue_options,
    spec_options,
    takes,
)
from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.methods import Method


class ByMethod(TyperGroup):
    """A command for each training method, made when `burnish train` is asked for: importing the declarations takes half a second."""

    _by_method: dict[str, Any]
    _others: dict[str, Any]

    @property  # type: ignore[override]
    def commands(self) -> dict[str, Any]:
        from burnish.schemas.methods import METHODS

        if not self._by_method:
            self._by_method = {method: method_command(method) for method in METHODS}
        return self._by_method | self._others

    @commands.setter
    def commands(self, others: dict[str, Any]) -> None:
        self._by_method, self._others = {}, others


def method_command(method: Method) -> Any:
    """`burnish train <method>`."""
    from burnish.schemas.methods import METHODS

    declared = METHODS[method]

    def run(options: dict[str, Any]) -> None:
        _submit(method, options)

    run.__doc__ = f"{declared.title[0].upper()}{declared.title[1:]}: {declared.summary}."
    single = typer.Typer(rich_markup_mode="rich", add_completion=False)
    single.command(method)(takes(JobOptions, hyperparameter_options(method), QueueOptions)(run))
    return typer.main.get_command(single)


app = typer.Typer(
    cls=ByMethod,
    help="Train an adapter on a dataset version. docs/training.md: which method for which data.",
    no_args_is_help=True,
)


def _submit(method: Method, options: dict[str, Any]) -> None:
    """Queue the job that a command's options describe, or preview it."""
    from burnish_client import CuratorClient, TrainerClient
    from burnish_client.cli.views import following, job_text
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.sdk.job_spec import tuning_spec

    queue = queue_options(options)
    given = spec_options(method, options)
    settings = ClientSettings()
    name, version = console.name_and_version(options["dataset"])
    with CuratorClient.from_settings(settings) as curator:
        manifest = curator.dataset(name, version)
    spec = tuning_spec(
        method,
        dataset_name=name,
        dataset_version=manifest.version,
        adapter_name=options["adapter"] or name,
        **given,
    )
    as_json, follow = options["json"], options["follow"]
    with TrainerClient.from_settings(settings) as trainer:
        if options["dry_run"]:
            with console.working("checking every row and estimating"):
                preview = trainer.preview_job(spec, deadline=queue["deadline"])
            if as_json:
                console.print_json(preview)
            else:
                job_text.show_preview(preview)
            raise typer.Exit(1 if preview.refused else 0)
        job = trainer.create_job(spec, **queue)
        console.note(f"[bold green]queued[/] {job.job_id}: {job_text.summary(spec)}")
        if follow:
            job = following.follow(trainer, job.job_id)
    if as_json:
        console.print_json(job)
    elif follow:
        following.show_outcome(job)
    else:
        console.next_step(f"burnish jobs watch {job.job_id}")
    if follow:
        raise typer.Exit(following.exit_code(job))
