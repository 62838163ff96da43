"""A dataset version as a folder that `datasets.load_dataset` and Croissant's readers open: README.md with YAML, Parquet, croissant.json.

Sources: Hugging Face "Manual configuration" of datasets; MLCommons Croissant 1.1.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from burnish.curation.output.sealing import Row
from burnish.digests import sha256_hex
from burnish.schemas.base import Message
from burnish.schemas.dataset import DatasetFormat, DatasetManifest, DpoRow, KtoRow

PARQUET = "data/{split}-00000-of-00001.parquet"
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
COLUMNS: dict[DatasetFormat, list[tuple[str, Any]]] = {
    "sft": [("messages", MESSAGES)],
    "dpo": [("prompt", MESSAGES), ("chosen", MESSAGES), ("rejected", MESSAGES)],
    "kto": [("prompt", MESSAGES), ("completion", MESSAGES), ("label", pa.bool_())],
}
OWN_COLUMNS: list[tuple[str, Any]] = [("question_id", pa.string()), ("source", pa.string())]
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def folder_files(manifest: DatasetManifest, card: str, splits: Mapping[str, Sequence[Row]]) -> dict[str, bytes]:
    """Path -> content. card: the version's own README.md. A split without rows has no file. The same version gives the same files."""
    kind = manifest.spec.format
    data = {PARQUET.format(split=name): _parquet(rows, kind) for name, rows in splits.items() if rows}
    names = {PARQUET.format(split=name): name for name in splits}
    configs = "".join(f"      - split: {names[path]}\n        path: {path}\n" for path in data)
    head = f"---\nconfigs:\n  - config_name: default\n    data_files:\n{configs}---\n"
    return data | {
        "README.md": (head + card).encode(),
        "croissant.json": orjson.dumps(_croissant(manifest, data, names), option=orjson.OPT_INDENT_2),
    }


def zipped(files: dict[str, bytes]) -> bytes:
    """One zip; without times, so that the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _parquet(rows: Sequence[Row], kind: DatasetFormat) -> bytes:
    schema = pa.schema([*OWN_COLUMNS, *COLUMNS[kind]])
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([_record(row) for row in rows], schema=schema), buffer, compression="zstd")
    return buffer.getvalue()


def _record(row: Row) -> dict[str, Any]:
    record: dict[str, Any] = {"question_id": row.question_id, "source": row.source}
    if isinstance(row, DpoRow):
        return record | {name: _chat(getattr(row, name)) for name in ("prompt", "chosen", "rejected")}
    if isinstance(row, KtoRow):
        return record | {"prompt": _chat(row.prompt), "completion": _chat(row.completion), "label": row.label}
    return record | {"messages": _chat([*row.prompt, *row.completion])}


def _chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _croissant(manifest: DatasetManifest, data: dict[str, bytes], names: dict[str, str]) -> dict[str, Any]:
    """Read back by mlcroissant in tests/integration/curator/test_folder.py."""
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": manifest.name,
        "version": manifest.version,
        "description": f"Training data of the format {manifest.spec.format}, built by Burnish from run log {manifest.spec.run_log_id}",
        "datePublished": manifest.created_at.date().isoformat(),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": names[path],
                "name": names[path],
                "contentUrl": path,
                "encodingFormat": "application/x-parquet",
                "sha256": sha256_hex(content),
            }
            for path, content in data.items()
        ],
        "recordSet": [_record_set(names[path], manifest.spec.format) for path in data],
    }


def _record_set(split: str, kind: DatasetFormat) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": f"{split}_rows",
        "name": f"{split}_rows",
        "field": [_field(split, name, column) for name, column in [*OWN_COLUMNS, *COLUMNS[kind]]],
    }


def _field(split: str, name: str, column: Any) -> dict[str, Any]:
    """A list of messages is a field with two in it; mlcroissant reads both out of each message."""
    source = {"fileObject": {"@id": split}, "extract": {"column": name}}
    field: dict[str, Any] = {"@type": "cr:Field", "@id": f"{split}_rows/{name}", "name": name}
    if column != MESSAGES:
        return field | {"dataType": "sc:Boolean" if column == pa.bool_() else "sc:Text", "source": source}
    parts = [
        {
            "@type": "cr:Field",
            "@id": f"{split}_rows/{name}/{part}",
            "name": part,
            "dataType": "sc:Text",
            "source": source | {"transform": {"jsonPath": part}},
        }
        for part in ("role", "content")
    ]
    return field | {"isArray": True, "arrayShape": "-1", "subField": parts}
