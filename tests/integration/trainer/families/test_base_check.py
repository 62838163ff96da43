"""The trainer's half of the report on a base model: each thing that would fail a job later is refused when the model is added."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from families.models import BY_NAME, make
from safetensors.numpy import load_file, save_file
from unit.trainer.made import job_spec, put_dataset, sft_rows

from burnish.errors import PreconditionError
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import BaseModelRef
from burnish.schemas.models import read_record
from burnish_trainer.executors.assignment import Assignment
from burnish_trainer.executors.events import EventWriter
from burnish_trainer.worker.base_check import check
from burnish_trainer.worker.main import make_context

pytestmark = pytest.mark.model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(BY_NAME["qwen-2.5"], tmp_path / "model")
    return tmp_path / "model"


def edit(path: Path, **changes: Any) -> None:
    """Change a JSON file; None removes a key."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def refused(folder: Path) -> dict[str, str]:
    return {one.subject: one.found for one in check(folder) if one.state == "refused"}


def test_every_family_is_right(tmp_path: Path) -> None:
    for name, family in BY_NAME.items():
        make(family, tmp_path / name)
        assert [one for one in check(tmp_path / name) if one.state != "right"] == [], name


def no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def endless_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.role + ': ' + m.content }}\n{% endfor %}")


def pad_beyond_the_vocabulary(folder: Path) -> None:
    """Named in the tokenizer's settings alone, so it is added behind the last row."""
    tokens = len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])
    added = len(json.loads((folder / "tokenizer.json").read_text())["added_tokens"])
    edit(folder / "tokenizer_config.json", pad_token="<|an added one|>")
    edit(folder / "config.json", vocab_size=tokens + added)


def its_own_code(folder: Path) -> None:
    edit(folder / "config.json", auto_map={"AutoModelForCausalLM": "modeling.Mine"})


def other_names(folder: Path) -> None:
    """As models with parts for images have them."""
    path = folder / "model.safetensors"
    save_file({f"language_model.{name}": tensor for name, tensor in load_file(path).items()}, path)


def unknown_layers(folder: Path) -> None:
    path = folder / "model.safetensors"
    save_file({name.replace("_proj.", "_linear."): tensor for name, tensor in load_file(path).items()}, path)


def unknown_architecture(folder: Path) -> None:
    edit(folder / "config.json", model_type="of-tomorrow")


@pytest.mark.parametrize(
    ("damage", "subject", "says"),
    [
        (no_template, "chat template", "has no chat_template.jinja"),
        (endless_template, "chat template", "would not learn to stop"),
        (pad_beyond_the_vocabulary, "pad token", "name another pad_token"),
        (its_own_code, "architecture", "code of its own"),
        (other_names, "training", "other names or shapes"),
        (unknown_layers, "target modules", "take another base"),
        (unknown_architecture, "training", "take another base"),
    ],
)
def test_what_would_fail_a_job_is_refused(
    folder: Path, damage: Callable[[Path], None], subject: str, says: str
) -> None:
    damage(folder)
    assert says in refused(folder)[subject]


def test_a_job_of_another_base_takes_no_step(folder: Path, tmp_path: Path) -> None:
    """One that was prepared before the stack was started on another base."""
    store = MemoryObjectStore()
    other = BaseModelRef(name="other", digest="sha256:" + "7" * 64)
    spec = job_spec(put_dataset(store, sft_rows(4)), base_model=other)
    assignment = Assignment(job_id="job-1", attempt=1, spec=spec, base_model=folder, device="cpu")
    writer = EventWriter(tmp_path / "events.jsonl")
    with pytest.raises(PreconditionError, match=f"for base model other .* holds {read_record(folder).name}"):
        make_context(assignment, tmp_path, store, writer, _never())


def _never() -> Any:
    import threading

    return threading.Event()
