"""`burnish train sft|dpo`: submit a tuning job, and follow it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from burnish_client.cli import console
from burnish_client.cli.console import JsonFlag

app = typer.Typer(help="Train an adapter on a dataset version.", no_args_is_help=True)

LORA, OPTIMIZER, HARDWARE = "LoRA", "Optimizer", "Hardware and repeatability"


def _option(help: str, panel: str, metavar: str = "N") -> Any:
    return typer.Option(help=help, rich_help_panel=panel, metavar=metavar, show_default=False)


Dataset = Annotated[str, typer.Option(metavar="NAME[@VERSION]", help="Dataset; without version, the newest.")]
Adapter = Annotated[
    str | None,
    typer.Option(help="Name of the adapter to make a version of. Default: the dataset's.", show_default=False),
]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Show progress until the job has ended. Ctrl-C leaves it running.")
]
RequestId = Annotated[
    str | None, typer.Option(help="Sent twice, it queues one job. Default: a fresh one.", show_default=False)
]
Rank = Annotated[int | None, _option("1 to 512. Default: 32.", LORA)]
Alpha = Annotated[int | None, _option("Default: the rank.", LORA)]
Dropout = Annotated[float | None, _option("In [0,1). Default: 0.", LORA, "SHARE")]
TargetModule = Annotated[
    list[str] | None, _option("Module to adapt; repeat for more. Default: all seven projections.", LORA, "NAME")
]
MaxSteps = Annotated[int | None, _option("Optimizer steps at most. Default: from --epochs.", OPTIMIZER)]
Epochs = Annotated[float | None, _option("Passes over the training rows. Default: 3.", OPTIMIZER)]
BatchSize = Annotated[int | None, _option("Rows a device step. Default: 8.", OPTIMIZER)]
Accumulation = Annotated[int | None, _option("Device steps an optimizer step. Default: 1.", OPTIMIZER)]
WarmupShare = Annotated[float | None, _option("Share of the steps, in [0,1). Default: 0.1.", OPTIMIZER, "SHARE")]
MaxLength = Annotated[int | None, _option("Tokens; longer rows are refused before training. Default: 2048.", OPTIMIZER)]
Interval = Annotated[
    int | None, _option("Steps between evaluations and checkpoints. Default: a fifth of the steps.", OPTIMIZER)
]
Patience = Annotated[
    int | None, _option("Evaluations without improvement before stopping; 0: never. Default: 3.", OPTIMIZER)
]
Quantization = Annotated[
    Literal["none", "nf4"] | None,
    _option("Of the base while training; nf4 is QLoRA. Default: none.", HARDWARE, "none|nf4"),
]
Backend = Annotated[
    Literal["peft", "unsloth"] | None,
    _option("Default: unsloth where CUDA and the package are there, else peft.", HARDWARE, "peft|unsloth"),
]
Seed = Annotated[int | None, _option("Of everything random in training. Default: the trainer's.", HARDWARE)]


@app.command("sft")
def train_sft(
    context: typer.Context,
    dataset: Dataset,
    adapter: Adapter = None,
    follow: Follow = False,
    request_id: RequestId = None,
    rank: Rank = None,
    alpha: Alpha = None,
    dropout: Dropout = None,
    target_module: TargetModule = None,
    learning_rate: Annotated[float | None, _option("Default: 1e-4.", OPTIMIZER, "RATE")] = None,
    max_steps: MaxSteps = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    gradient_accumulation_steps: Accumulation = None,
    warmup_share: WarmupShare = None,
    max_length: MaxLength = None,
    evaluation_interval_steps: Interval = None,
    early_stopping_patience: Patience = None,
    quantization: Quantization = None,
    backend: Backend = None,
    seed: Seed = None,
    json: JsonFlag = False,
) -> None:
    """Supervised fine-tuning: learn the corrected answers."""
    _submit("sft", context.params)


@app.command("dpo")
def train_dpo(
    context: typer.Context,
    dataset: Dataset,
    adapter: Adapter = None,
    follow: Follow = False,
    request_id: RequestId = None,
    beta: Annotated[
        float | None,
        typer.Option(help="Strength of the pull to the reference. Default: 0.1.", metavar="X", show_default=False),
    ] = None,
    initial_adapter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME@VERSION",
            help="SFT adapter to go on from; it is then the reference too. Default: the base model.",
            show_default=False,
        ),
    ] = None,
    rank: Rank = None,
    alpha: Alpha = None,
    dropout: Dropout = None,
    target_module: TargetModule = None,
    learning_rate: Annotated[float | None, _option("Default: 5e-5.", OPTIMIZER, "RATE")] = None,
    max_steps: MaxSteps = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    gradient_accumulation_steps: Accumulation = None,
    warmup_share: WarmupShare = None,
    max_length: MaxLength = None,
    evaluation_interval_steps: Interval = None,
    early_stopping_patience: Patience = None,
    quantization: Quantization = None,
    backend: Backend = None,
    seed: Seed = None,
    json: JsonFlag = False,
) -> None:
    """Direct preference optimization: prefer the correction to the model's own wrong answer."""
    _submit("dpo", context.params)


def _submit(method: Literal["sft", "dpo"], params: dict[str, Any]) -> None:
    """Queue the job that a command's parameters describe; every one that is not named here goes into the spec."""
    from burnish_client.cli import following
    from burnish_client.config import ClientSettings
    from burnish_client.curator_client import CuratorClient
    from burnish_client.trainer_client import TrainerClient, to_dict, tuning_spec

    options = dict(params)
    dataset, adapter, follow, request_id, json = (
        options.pop(name) for name in ("dataset", "adapter", "follow", "request_id", "json")
    )
    options["target_modules"] = options.pop("target_module") or ()
    if options.get("initial_adapter"):
        options["initial_adapter"] = _whole_reference(options["initial_adapter"])
    settings = ClientSettings()
    name, version = console.name_and_version(dataset)
    with CuratorClient.from_settings(settings) as curator:
        manifest = curator.dataset(name, version)
    with TrainerClient.from_settings(settings) as trainer:
        spec = tuning_spec(
            method, dataset_name=name, dataset_version=manifest.version, adapter_name=adapter or name, **options
        )
        job = trainer.create_job(spec, request_id)
        console.note(
            f"[bold green]queued[/] {job.job_id}: {method} on {name}@{manifest.version} → adapter {spec.adapter_name}"
        )
        if follow:
            job = following.follow(trainer, job.job_id)
        if json:
            console.print_json(to_dict(job))
        elif follow:
            following.show_outcome(job)
        else:
            console.next_step(f"burnish jobs watch {job.job_id}")
    if follow:
        raise typer.Exit(following.exit_code(job))


def _whole_reference(reference: str) -> tuple[str, str]:
    from burnish.errors import InvalidInputError

    name, version = console.name_and_version(reference)
    if version is None:
        raise InvalidInputError(
            f"--initial-adapter {reference!r}: name the version too, NAME@VERSION; `burnish adapters ls` lists them"
        )
    return name, version
