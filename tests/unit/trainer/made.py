"""Small things that trainer tests make: dataset versions in an object store, specs, a tiny model folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burnish.digests import canonical_json, dataset_version, model_digest, sha256_hex
from burnish.layout import dataset as dataset_key
from burnish.ports import ObjectStore
from burnish.schemas.base import FileEntry, Message, VersionRef
from burnish.schemas.dataset import (
    DatasetCounts,
    DatasetManifest,
    DatasetSpec,
    DpoRow,
    KtoRow,
    LengthStatistics,
    SftRow,
    Split,
)
from burnish.schemas.models import RECORD, BaseModelRecord
from burnish.schemas.training.job import JobSpec
from burnish_trainer.data.rows import record_of
from burnish_trainer.data.tokens import Example, Tokenizer, encode_records

COLOURS = ("red", "green", "blue", "black", "white", "brown", "pink", "grey", "orange", "purple")


def user(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def assistant(text: str) -> list[Message]:
    return [Message(role="assistant", content=text)]


def sft_rows(count: int, prefix: str = "q") -> list[SftRow]:
    """Rows that can be learnt: the answer is the question's colour as JSON. Lengths differ from row to row.

    Another prefix asks other questions, so that validation rows are none that are trained on.
    """
    series = "" if prefix == "q" else prefix
    return [
        SftRow(
            question_id=f"{prefix}{number}",
            source="correction",
            prompt=user(
                f"Which colour has {'the very ' * (number % 4)}thing {series}{number} that is {COLOURS[number % 10]}?"
            ),
            completion=assistant(f'{{"colour": "{COLOURS[number % 10]}"}}'),
        )
        for number in range(count)
    ]


def dpo_rows(count: int, prefix: str = "q") -> list[DpoRow]:
    """The same questions; the rejected answer is prose."""
    return [
        DpoRow(
            question_id=row.question_id,
            source="correction",
            prompt=row.prompt,
            chosen=row.completion,
            rejected=assistant(f"I think it may well be {COLOURS[number % 10]}, but who knows."),
        )
        for number, row in enumerate(sft_rows(count, prefix))
    ]


def kto_rows(count: int, prefix: str = "q") -> list[KtoRow]:
    """The same questions, `count` rows: the right answer with a thumb up, then the prose with a thumb down."""
    pairs = dpo_rows(-(-count // 2), prefix)
    rows = [
        KtoRow(question_id=pair.question_id, source="correction", prompt=pair.prompt, completion=answer, label=label)
        for pair in pairs
        for answer, label in ((pair.chosen, True), (pair.rejected, False))
    ]
    return rows[:count]


def put_dataset(
    store: ObjectStore,
    train: Sequence[SftRow | DpoRow | KtoRow],
    validation: Sequence[SftRow | DpoRow | KtoRow] = (),
    name: str = "colours",
) -> VersionRef:
    """Store a dataset version as the curator does: rows first, manifest last."""
    files = {file: b"".join(row.model_dump_json().encode() + b"\n" for row in rows)
             for file, rows in (("train.jsonl", train), ("validation.jsonl", validation))}  # fmt: skip
    spec = DatasetSpec(
        name=name,
        run_log_id="0" * 16,
        labels=["not_json"],
        format="dpo" if isinstance(train[0], DpoRow) else "kto" if isinstance(train[0], KtoRow) else "sft",
    )
    split = Split(targeted=[], held_out=[], train=[row.question_id for row in train], validation=[], anchors=[])
    version = dataset_version(*files.values(), spec.model_dump(), split.model_dump())
    manifest = DatasetManifest(
        name=name,
        version=version,
        spec=spec,
        counts=DatasetCounts(
            corrections=len(train), anchors=0, train=len(train), validation=len(validation), held_out=0
        ),
        split=split,
        lengths=LengthStatistics(unit="characters", minimum=0, median=0, p95=0, maximum=0, total=0),
        files=[FileEntry(path=file, size_bytes=len(data), sha256=sha256_hex(data)) for file, data in files.items()],
    )
    for file, data in files.items():
        store.put(dataset_key(name, version, file), data)
    store.put(dataset_key(name, version), canonical_json(manifest.model_dump(mode="json")))
    return VersionRef(name=name, version=version)


def encode(tokenizer: Tokenizer, prompt: Sequence[Message], completion: Sequence[Message]) -> Example:
    """One row as the worker encodes it."""
    row = SftRow(question_id="q", source="correction", prompt=list(prompt), completion=list(completion))
    return encode_records(tokenizer, [record_of(row)], max_length=100_000)[0].examples[0]


def job_spec(dataset: VersionRef, method: str = "sft", **changes: Any) -> JobSpec:
    """A whole spec; `lora`, `optimizer` and `params` are merged into small ones."""
    optimizer = {"learning_rate": 5e-3, "batch_size": 4, "max_steps": 4, "evaluation_interval_steps": 2}
    fields: dict[str, Any] = {
        "dataset": dataset,
        "adapter_name": "colours",
        "method": method,
        "params": {"beta": 0.1, "initial_adapter": None} if method == "dpo" else {},
        "lora": {"rank": 8},
        "optimizer": optimizer,
    }
    for name in ("lora", "optimizer", "params"):
        fields[name] = {**fields[name], **changes.pop(name, {})}
    return JobSpec.model_validate(fields | changes)


def tiny_model(base_model_dir: Path, folder: Path, seed: int = 1) -> Path:
    """A random 2-layer Llama with the real tokenizer, recorded as a base model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(base_model_dir / name, folder / name)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=True,
        initializer_range=0.1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    record = BaseModelRecord(name="tiny", digest=model_digest(folder), source="random", licence="none")
    (folder / RECORD).write_text(record.model_dump_json())
    return folder
