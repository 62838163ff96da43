"""`burnish train sweep`: many jobs with different parameters; stops hopeless ones early and names the best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

import burnish_client
from burnish.errors import InvalidInputError
from burnish_client.cli.options.common import DATASET_HELP, Options, RunsByDefault, grouped, option
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish_client.tuning.search_space import SearchSpace

app = typer.Typer(
    cls=RunsByDefault, help="Search training parameters (run, the default), or show a search.", no_args_is_help=True
)
DEFAULT_TRIALS = 10


class SweepOptions(Options):
    """What is searched, and how."""

    dataset: str = option(..., DATASET_HELP, metavar="NAME[@VERSION]")
    param: list[str] = option(
        ...,
        "A range LOW..HIGH or LOW..HIGH:log, a list A,B,C, or a fixed value; repeat for more.",
        metavar="NAME=VALUES",
    )
    trials: int | None = option(None, f"Trials in all. Default: the whole grid of lists, else {DEFAULT_TRIALS}.", min=1)
    sampler: Literal["random", "grid", "tpe"] = option(
        "random", "How values are chosen; tpe learns from earlier trials."
    )
    seed: int = option(0, "Seed of the choice of values, and of every training unless seed is searched.", min=0)
    parallel: int = option(1, "Jobs in the trainer's queue at once.", metavar="K", min=1)
    prune: bool = option(
        True,
        "Stop a trial early that is not in the better half at 20, 40 or 80 % of its run.",
        names=["--prune/--no-prune"],
    )
    name: str | None = option(None, "Name of the sweep. Default: made from dataset and settings.")
    adapter: str | None = option(None, "Name of the adapter that trials make versions of. Default: the sweep's.")
    follow: bool = option(False, "Report every evaluation too.", names=["--follow", "-f"])
    json: JsonFlag = False


@app.command("run")
@grouped
def sweep(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="Training method, as in `burnish train --help`.")],
    options: SweepOptions,
) -> None:
    """Search parameters by validation loss, each trial an ordinary job.

    For example --param learning_rate=1e-5..1e-3:log --param rank=8,16,32 --param epochs=2.

    The same command continues after Ctrl-C or a kill: ended trials are not run again, running jobs are found again.
    """
    from burnish.extras import require
    from burnish.schemas.training.methods import method_named

    require("optuna")
    from burnish_client.cli.views.training import sweep_text
    from burnish_client.tuning.study import SweepSettings, default_name, open_study
    from burnish_client.tuning.sweep import Sweep, check_some_finished, read_result

    chosen, settings = method_named(method), burnish_client.ClientSettings()
    with burnish_client.CuratorClient.from_settings(settings) as curator:
        manifest = curator.dataset(*console.name_and_version(options.dataset))
    if not manifest.counts.validation:
        raise InvalidInputError(
            f"dataset {manifest.name}@{manifest.version} has no validation rows, so trials could not be compared: build it "
            "with --validation-share above 0",
            field="dataset",
        )
    searched = SweepSettings(
        method=chosen,
        dataset=manifest.name,
        version=manifest.version,
        params=sorted(options.param),
        sampler=options.sampler,
        seed=options.seed,
        prune=options.prune,
        adapter=options.adapter or "",
    )
    name = options.name or default_name(searched)
    count = _count(searched.space(), options)
    searched = searched.model_copy(update={"adapter": options.adapter or name})
    with (
        open_study(settings.home, name, searched) as study,
        burnish_client.TrainerClient.from_settings(settings) as trainer,
    ):
        console.note(
            f"sweep {name}: {count} trials of {method} on {manifest.name}@{manifest.version}, by {options.sampler}"
        )

        def say(line: str) -> None:
            console.note(console.one_line(line))

        run = Sweep(study, trainer, trials=count, parallel=options.parallel, say=say, follow=options.follow)
        try:
            result = run.run()
        except KeyboardInterrupt:
            console.note(f"[yellow]interrupted:[/] running jobs continue; the same command continues sweep {name}")
            if options.json:
                console.print_json(read_result(study))
            raise typer.Exit(130) from None
    console.show(result, sweep_text.show_result, json=options.json)
    check_some_finished(result)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="SWEEP", help="Its name, as `run` prints it.")], json: JsonFlag = False
) -> None:
    """Show a sweep's trials, and the best so far."""
    from burnish.extras import require

    require("optuna")
    from burnish_client.cli.views.training import sweep_text
    from burnish_client.tuning.study import read_study
    from burnish_client.tuning.sweep import read_result

    with read_study(burnish_client.ClientSettings().home, name) as study:
        result = read_result(study)
    console.show(result, sweep_text.show_result, json=json)


def _count(space: SearchSpace, options: SweepOptions) -> int:
    """How many trials there will be: never more than a grid has points."""
    if options.sampler == "grid" and not space.is_listed:
        ranges = ", ".join(parameter.name for parameter in space.searched if parameter.is_range)
        raise InvalidInputError(
            f"a grid needs lists of values, not ranges: list those of {ranges}, or --sampler random"
        )
    if not space.is_listed or options.sampler == "tpe":
        return options.trials or DEFAULT_TRIALS
    return min(options.trials or space.size, space.size)
