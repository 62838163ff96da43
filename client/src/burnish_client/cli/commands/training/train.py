"""`burnish train <method>`: submit a tuning job and follow it, or only check and estimate it (--dry-run)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

import burnish_client
from burnish_client.cli.options.common import Options, grouped
from burnish_client.cli.options.training import (
    JobOptions,
    QueueOptions,
    hyperparameter_options,
    read_deadline,
    read_hosted,
    read_labels,
    spec_values,
)
from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.training.methods import Method


class ByMethod(TyperGroup):
    """A command for each training method, made when `burnish train` is asked for: importing the declarations takes half a second."""

    _by_method: dict[str, Any]
    _others: dict[str, Any]

    @property  # type: ignore[override]
    def commands(self) -> dict[str, Any]:
        from burnish.schemas.training.methods import METHODS

        if not self._by_method:
            self._by_method = {method: method_command(method) for method in METHODS}
        return self._by_method | self._others

    @commands.setter
    def commands(self, others: dict[str, Any]) -> None:
        self._by_method, self._others = {}, others


app = typer.Typer(
    cls=ByMethod,
    help="Train an adapter on a dataset version. docs/training.md: which method for which data.",
    no_args_is_help=True,
)


def method_command(method: Method) -> Any:
    """`burnish train <method>`."""
    from burnish.schemas.training.methods import METHODS

    declared = METHODS[method]
    help = f"{declared.title[0].upper()}{declared.title[1:]}: {declared.summary}."
    single = typer.Typer(rich_markup_mode="rich", add_completion=False)
    command = grouped(partial(_submit, method), hyperparameters=hyperparameter_options(method))
    single.command(method, help=help)(command)
    return typer.main.get_command(single)


def _submit(method: Any, options: JobOptions, hyperparameters: Options, queue: QueueOptions) -> None:
    """Queue the job that a command's options describe, or preview it."""
    from burnish_client.cli.views.data import data_text
    from burnish_client.cli.views.training import following, job_text

    labels, deadline = read_labels(queue.label), read_deadline(queue.deadline)
    values = spec_values(method, hyperparameters)
    settings = burnish_client.ClientSettings()
    name, version = console.name_and_version(options.dataset)
    with burnish_client.CuratorClient.from_settings(settings) as curator:
        manifest = curator.dataset(name, version)
    spec = burnish_client.tuning_spec(
        method,
        dataset_name=name,
        dataset_version=manifest.version,
        adapter_name=options.adapter or name,
        accepted_findings=options.accept or (),
        base_model=options.base_model,
        hosted=read_hosted(options.on, options.spend_limit),
        **values,
    )
    with burnish_client.TrainerClient.from_settings(settings) as trainer:
        if options.dry_run:
            with console.working("checking every row and estimating"):
                preview = trainer.preview_job(spec, deadline=deadline)
            console.show(preview, job_text.show_preview, json=options.json)
            raise typer.Exit(1 if preview.refused else 0)
        data_text.show_warnings(manifest)
        job = trainer.create_job(spec, queue.request_id, priority=queue.priority, labels=labels, deadline=deadline)
        console.note(f"[bold green]queued[/] {job.job_id}: {job_text.summary(spec)}")
        if options.follow:
            job = following.follow(trainer, job.job_id, shown=manifest.warnings)
    if options.json:
        console.print_json(job)
    elif options.follow:
        following.show_outcome(job)
    else:
        console.next_step(f"burnish jobs watch {job.job_id}")
    if options.follow:
        raise typer.Exit(following.exit_code(job))
