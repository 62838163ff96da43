"""Options of `burnish train` become the spec, the place in the queue and the follow-up that they stand for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest
import typer

from burnish.errors import InvalidInputError
from burnish.schemas.training.methods import Method
from burnish_client.cli.options.common import Options, grouped, option
from burnish_client.cli.options.training import (
    hyperparameter_options,
    read_deadline,
    read_hosted,
    read_labels,
    spec_values,
)
from burnish_client.sdk.job_spec import tuning_spec
from burnish_client.sdk.trainer import final_series
from burnish_protos.trainer.v1.trainer_pb2 import (
    StepMetrics,
    TuningJobEvent,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
REFERENCE = {"dataset_name": "d", "dataset_version": "v", "adapter_name": "a"}


def test_a_parameter_of_another_method_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="beta belongs to dpo, kto, orpo, simpo, not to sft"):
        tuning_spec("sft", **REFERENCE, beta=0.1)
    with pytest.raises(InvalidInputError, match="gamma belongs to simpo, not to orpo"):
        tuning_spec("orpo", **REFERENCE, gamma=0.1)
    with pytest.raises(InvalidInputError, match="speed is no hyperparameter of sft"):
        tuning_spec("sft", **REFERENCE, speed=0.1)
    with pytest.raises(InvalidInputError, match="'int8' is not one of none, nf4"):
        tuning_spec("sft", **REFERENCE, quantization="int8")
    with pytest.raises(InvalidInputError, match="'ppo' is not one of sft, dpo, kto, orpo, simpo"):
        tuning_spec("ppo", **REFERENCE)  # type: ignore[arg-type]


class Loud(Options):
    loud: bool = option(False, "Shout.", names=["--loud"])


class Name(Loud):
    name: str = option(..., "Who.")


def given_to(method: Method, *words: str) -> Options:
    """The hyperparameters of a command line, as the command gets them."""
    seen: list[Options] = []

    def take(hyperparameters: Options) -> None:
        seen.append(hyperparameters)

    app = typer.Typer()
    app.command()(grouped(take, hyperparameters=hyperparameter_options(method)))
    typer.main.get_command(app)(list(words), standalone_mode=False)
    return seen[0]


def test_options_become_the_spec_they_stand_for() -> None:
    words = "--rank 8 --target-module q_proj --target-module v_proj --rslora --devices 2 --desirable-weight 1.5 --retry-smaller"
    given = given_to("kto", *words.split(), "--initial-adapter", "first@0123456789abcdef")
    spec = tuning_spec("kto", **REFERENCE, **spec_values("kto", given))
    assert (spec.lora.rank, list(spec.lora.target_modules)) == (8, ["q_proj", "v_proj"])
    assert (spec.lora.use_rslora, spec.lora.HasField("use_dora")) == (True, False)
    assert (spec.device_count, spec.retry_smaller) == (2, True)
    assert (spec.kto.desirable_weight, spec.kto.initial_adapter.name) == (1.5, "first")
    assert not spec.optimizer.HasField("learning_rate")
    with pytest.raises(InvalidInputError, match="give NAME@VERSION"):
        spec_values("dpo", given_to("dpo", "--initial-adapter", "first"))


def test_a_command_gets_each_group_of_its_options_as_one_object() -> None:
    seen: list[tuple[int, dict[str, Any]]] = []

    def greet(group: Name, times: Annotated[int, typer.Option()] = 1) -> None:
        """Greet."""
        seen.append((times, vars(group)))

    app = typer.Typer()
    app.command()(grouped(greet))
    typer.main.get_command(app)(["--name", "Ada", "--times", "2"], standalone_mode=False)
    assert seen == [(2, {"loud": False, "name": "Ada"})]
    with pytest.raises(typer.BadParameter):
        typer.main.get_command(app)([], standalone_mode=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("8h", NOW + timedelta(hours=8)),
        ("90m", NOW + timedelta(minutes=90)),
        ("1d12h", NOW + timedelta(days=1, hours=12)),
        ("2026-11-24T08:00+01:00", datetime(2026, 11, 24, 7, 0, tzinfo=UTC)),
        ("2026-11-24T08:00", datetime(2026, 11, 24, 8, 0).astimezone()),
    ],
)
def test_deadlines(text: str | None, expected: datetime | None) -> None:
    assert read_deadline(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "8", "h", "soon", "2026-13-01", "2026-11-22T08:00Z", "8h soon"])
def test_a_deadline_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="--deadline"):
        read_deadline(text, NOW)


def test_labels() -> None:
    assert read_labels(["team=search", "why=a=b", "none="]) == {"team": "search", "why": "a=b", "none": ""}
    for words in (["team"], ["=x"], ["a=1", "a=2"]):
        with pytest.raises(InvalidInputError, match="--label"):
            read_labels(words)


def test_the_final_series_has_the_last_telling_of_each_step() -> None:
    def told(sequence: int, step: int, attempt: int, **figures: float) -> TuningJobEvent:
        return TuningJobEvent(sequence=sequence, attempt=attempt, metrics=StepMetrics(step=step, **figures))

    events = [
        told(1, 1, 1, train_loss=3.0),
        told(2, 2, 1, train_loss=2.0),
        told(3, 2, 1, validation_loss=2.5),
        TuningJobEvent(sequence=4, message="attempt 1 failed"),
        told(5, 2, 2, train_loss=2.1),
    ]
    assert [event.sequence for event in final_series(events)] == [1, 5, 3]


def test_a_place_to_train_becomes_the_spec() -> None:
    assert read_hosted("local", None) is None
    hosted = read_hosted("openai:ft:gpt-4.1", 2.5)
    assert hosted is not None
    spec = tuning_spec("sft", **REFERENCE, hosted=hosted)
    assert (spec.hosted.provider, spec.hosted.model, spec.hosted.spend_limit_usd) == ("openai", "ft:gpt-4.1", 2.5)
    free = tuning_spec("sft", **REFERENCE, hosted=read_hosted("openai:mine", 0))
    assert free.hosted.HasField("spend_limit_usd")
    assert not tuning_spec("sft", **REFERENCE).HasField("hosted")


@pytest.mark.parametrize(
    ("on", "limit", "message"),
    [
        ("openai:gpt", None, "needs --spend-limit"),
        ("local", 1.0, "leave --spend-limit out"),
        ("openai", 1.0, "write one of local, openai:MODEL"),
        ("openai:", 1.0, "write one of local, openai:MODEL"),
        ("elsewhere:gpt", 1.0, "write one of local, openai:MODEL"),
        ("openai:a model", 1.0, "has no blanks"),
    ],
)
def test_a_place_that_is_none_is_refused(on: str, limit: float | None, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_hosted(on, limit)
