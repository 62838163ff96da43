"""The exported folder is opened by the libraries that it is for: datasets, and mlcroissant where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
from unit.curation.gates.making import build, failures

from burnish.curation.output.exports import parse_rows
from burnish.curation.output.folder import folder_files, zipped

FORMATS = ["sft", "dpo", "kto"]


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, list[Any]]:
    built = build(tmp_path / "log", failures(12), format=request.param)
    rows = {name: list(parse_rows(built.files[f"{name}.jsonl"], request.param)) for name in ("train", "validation")}
    files = folder_files(built.manifest, built.files["README.md"].decode(), rows)
    assert zipped(files) == zipped(folder_files(built.manifest, built.files["README.md"].decode(), rows))
    for path, content in files.items():
        (tmp_path / "out" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / path).write_bytes(content)
    return tmp_path / "out", rows["train"]


def expected(row: Any, names: list[str]) -> dict[str, Any]:
    made = row.model_dump()
    return {name: made["prompt"] + made["completion"] if name == "messages" else made[name] for name in names}


@pytest.mark.parametrize("folder", FORMATS, indirect=True)
def test_datasets_opens_it(folder: tuple[Path, list[Any]], tmp_path: Path) -> None:
    loaded = datasets.load_dataset(str(folder[0]), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "validation"}
    assert loaded["train"].to_list() == [expected(row, loaded["train"].column_names) for row in folder[1]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of rdflib and jsonpath-rw, which mlcroissant 1.1.1 uses
@pytest.mark.parametrize("folder", FORMATS, indirect=True)
def test_mlcroissant_opens_it(folder: tuple[Path, list[Any]]) -> None:
    mlcroissant = pytest.importorskip(
        "mlcroissant", reason="mlcroissant 1.1.1 is not installed: pip install mlcroissant"
    )
    read = mlcroissant.Dataset(jsonld=str(folder[0] / "croissant.json"))
    assert not read.metadata.issues.errors
    found = [_plain(record) for record in read.records("train_rows")]
    assert found == [expected(row, list(found[0])) for row in folder[1]]


def _plain(value: Any) -> Any:
    """mlcroissant gives bytes, and names with their path."""
    if isinstance(value, dict):
        return {name.rpartition("/")[2]: _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return value.decode() if isinstance(value, bytes) else value
