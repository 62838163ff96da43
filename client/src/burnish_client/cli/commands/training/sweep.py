"""`burnish train sweep`: many jobs with different parameters; stops hopeless ones early and names the best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from burnish_client.cli.options.common import RunsByDefault
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish_client.tuning.search_space import SearchSpace
    from burnish_client.tuning.study import SweepSettings

app = typer.Typer(
    cls=RunsByDefault, help="Search training parameters (run, the default), or show a search.", no_args_is_help=True
)
DEFAULT_TRIALS = 10


@app.command("run")
def sweep(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="Training method, as in `burnish train --help`.")],
    dataset: Annotated[str, typer.Option(metavar="NAME[@VERSION]", help="Dataset; without version, the newest.")],
    param: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=VALUES",
            help="A range LOW..HIGH or LOW..HIGH:log, a list A,B,C, or a fixed value; repeat for more.",
        ),
    ],
    trials: Annotated[
        int | None,
        typer.Option(
            help=f"Trials in all. Default: the whole grid of lists, else {DEFAULT_TRIALS}.", min=1, show_default=False
        ),
    ] = None,
    sampler: Annotated[
        Literal["random", "grid", "tpe"], typer.Option(help="How values are chosen; tpe learns from earlier trials.")
    ] = "random",
    seed: Annotated[
        int, typer.Option(help="Seed of the choice of values, and of every training unless seed is searched.", min=0)
    ] = 0,
    parallel: Annotated[int, typer.Option(help="Jobs in the trainer's queue at once.", metavar="K", min=1)] = 1,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune/--no-prune", help="Stop a trial early that is not in the better half at 20, 40 or 80 % of its run."
        ),
    ] = True,
    name: Annotated[
        str | None, typer.Option(help="Name of the sweep. Default: made from dataset and settings.", show_default=False)
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            help="Name of the adapter that trials make versions of. Default: the sweep's.", show_default=False
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Report every evaluation too.")] = False,
    json: JsonFlag = False,
) -> None:
    """Search parameters by validation loss, each trial an ordinary job.

    For example --param learning_rate=1e-5..1e-3:log --param rank=8,16,32 --param epochs=2.

    The same command continues after Ctrl-C or a kill: ended trials are not run again, running jobs are found again.
    """
    from burnish.errors import InvalidInputError
    from burnish.schemas.methods import method_named
    from burnish_client import CuratorClient, TrainerClient
    from burnish_client.cli.views import sweep_text
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.tuning.study import SweepSettings, default_name, open_study
    from burnish_client.tuning.sweep import Sweep, check_some_finished, read_result

    chosen, settings = method_named(method), ClientSettings()
    with CuratorClient.from_settings(settings) as curator:
        manifest = curator.dataset(*console.name_and_version(dataset))
    if not manifest.counts.validation:
        raise InvalidInputError(
            f"dataset {manifest.name}@{manifest.version} has no validation rows, so trials could not be compared: build it "
            "with --validation-share above 0",
            field="dataset",
        )
    sweep_settings = SweepSettings(
        method=chosen,
        dataset=manifest.name,
        version=manifest.version,
        params=sorted(param),
        sampler=sampler,
        seed=seed,
        prune=prune,
        adapter=adapter or "",
    )
    sweep_name = name or default_name(sweep_settings)
    count = _count(sweep_settings.space(), sweep_settings, trials)
    sweep_settings = sweep_settings.model_copy(update={"adapter": adapter or sweep_name})
    with (
        open_study(settings.home, sweep_name, sweep_settings) as study,
        TrainerClient.from_settings(settings) as trainer,
    ):
        console.note(
            f"sweep {sweep_name}: {count} trials of {method} on {manifest.name}@{manifest.version}, by {sampler}"
        )
        try:
            result = Sweep(
                study,
                trainer,
                trials=count,
                parallel=parallel,
                say=lambda line: console.note(console.one_line(line)),
                follow=follow,
            ).run()
        except KeyboardInterrupt:
            console.note(
                f"[yellow]interrupted:[/] running jobs continue; the same command continues sweep {sweep_name}"
            )
            if json:
                console.print_json(read_result(study))
            raise typer.Exit(130) from None
    if json:
        console.print_json(result)
    else:
        sweep_text.show_result(result)
    check_some_finished(result)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="SWEEP", help="Its name, as `run` prints it.")], json: JsonFlag = False
) -> None:
    """Show a sweep's trials, and the best so far."""
    from burnish_client.cli.views import sweep_text
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.tuning.study import read_study
    from burnish_client.tuning.sweep import read_result

    with read_study(ClientSettings().home, name) as study:
        result = read_result(study)
    if json:
        return console.print_json(result)
    sweep_text.show_result(result)


def _count(space: SearchSpace, settings: SweepSettings, trials: int | None) -> int:
    """How many trials there will be: never more than a grid has points."""
    from burnish.errors import InvalidInputError

    if settings.sampler == "grid" and not space.is_listed:
        ranges = ", ".join(parameter.name for parameter in space.searched if parameter.is_range)
        raise InvalidInputError(
            f"a grid needs lists of values, not ranges: list those of {ranges}, or --sampler random"
        )
    if not space.is_listed or settings.sampler == "tpe":
        return trials or DEFAULT_TRIALS
    return min(trials or space.size, space.size)
