"""Hostile and broken adapters are refused with the reason, before vLLM sees them."""

from __future__ import annotations

import json
import math
import pickle
import struct

import numpy as np
import pytest
from adapter_making import CONFIG, WEIGHTS, adapter_files, lora_arrays, lora_config, make_manifest
from safetensors.numpy import save

from burnish.adapters.base import BaseModel
from burnish.adapters.checks import check_folder, check_manifest
from burnish.adapters.tensors import Tensor, norms, read_header
from burnish.errors import IncompatibleAdapterError, InvalidInputError
from burnish.schemas.base import BaseModelRef, FileEntry

MAX_RANK = 8
A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
B = A.replace("lora_A", "lora_B")


def run_checks(base, tmp_path, files, rank=4, **manifest_changes):
    manifest = make_manifest("fix", files, base.record, rank, **manifest_changes)
    check_manifest(manifest, base, MAX_RANK)
    folder = tmp_path / "adapter"
    folder.mkdir()
    for path, data in files.items():
        (folder / path).write_bytes(data)
    check_folder(folder, manifest, base, MAX_RANK)


def with_arrays(**changes):
    arrays = lora_arrays()
    for name, value in changes.items():
        arrays[A if name == "a" else B if name == "b" else name] = value
    return adapter_files(arrays=arrays)


def without(name):
    arrays = lora_arrays()
    del arrays[name]
    return adapter_files(arrays=arrays)


def test_a_sound_adapter_passes_in_every_dtype_that_is_served(base, tmp_path):
    for number, dtype in enumerate((np.float32, np.float16)):
        files = adapter_files(arrays={name: array.astype(dtype) for name, array in lora_arrays().items()})
        run_checks(base, tmp_path / str(number) if (tmp_path / str(number)).mkdir() is None else tmp_path, files)


def test_an_adapter_may_leave_modules_out_and_bring_a_readme(base, tmp_path):
    arrays = {name: array for name, array in lora_arrays().items() if "q_proj" in name}
    files = adapter_files(arrays=arrays, target_modules=["q_proj"]) | {"README.md": b"# fix", "tokenizer.json": b"{}"}
    run_checks(base, tmp_path, files)


WRONG_ARRAYS = {
    "another hidden size": (adapter_files(arrays=lora_arrays(hidden=24)), "has shape"),
    "more layers than the base": (adapter_files(arrays=lora_arrays(layers=3)), "layers.2"),
    "rank in the tensors is not r": (adapter_files(4, arrays=lora_arrays(rank=2)), "rank 4 need"),
    "A transposed": (with_arrays(a=np.zeros((16, 4), np.float32)), "has shape"),
    "three dimensions": (with_arrays(a=np.zeros((1, 4, 16), np.float32)), "has shape"),
    "B missing": (without(B), "without its other half"),
    "A missing": (without(A), "without its other half"),
    "no tensors": (adapter_files(arrays={}), "has no tensors"),
    "embedding LoRA": (
        with_arrays(**{"base_model.model.model.embed_tokens.lora_A.weight": np.zeros((4, 64), np.float32)}),
        "no linear layer",
    ),
    "full weights": (
        with_arrays(**{"base_model.model.lm_head.weight": np.zeros((64, 16), np.float32)}),
        "no linear layer",
    ),
    "DoRA magnitudes": (
        with_arrays(**{A.replace("lora_A.weight", "lora_magnitude_vector"): np.zeros(16, np.float32)}),
        "no linear layer",
    ),
    "NaN": (with_arrays(b=np.full((16, 4), np.nan, np.float32)), "NaN"),
    "infinity in half precision": (with_arrays(b=np.full((16, 4), np.inf, np.float16)), "NaN or infinite"),
    "integers": (with_arrays(a=np.zeros((4, 16), np.int32)), "dtype I32"),
    "double precision": (with_arrays(a=np.zeros((4, 16), np.float64)), "dtype F64"),
}


@pytest.mark.parametrize(("files", "words"), WRONG_ARRAYS.values(), ids=WRONG_ARRAYS.keys())
def test_tensors_that_do_not_fit_are_refused(base, tmp_path, files, words):
    with pytest.raises(IncompatibleAdapterError, match=words):
        run_checks(base, tmp_path, files)


WRONG_CONFIGS = {
    "DoRA": ({"use_dora": True}, "use_dora"),
    "modules_to_save": ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    "rank_pattern": ({"rank_pattern": {"q_proj": 8}}, "rank_pattern"),
    "biases": ({"bias": "all"}, "bias 'all'"),
    "lora_bias": ({"lora_bias": True}, "lora_bias"),
    "activated LoRA": ({"alora_invocation_tokens": [1]}, "alora"),
    "another PEFT type": ({"peft_type": "IA3"}, "only LoRA"),
    "rank too high": ({"r": 16}, "takes up to 8"),
    "rank zero": ({"r": 0}, "whole number"),
    "rank true": ({"r": True}, "whole number"),
    "rank as text": ({"r": "4"}, "whole number"),
    "alpha zero": ({"lora_alpha": 0}, "lora_alpha"),
    "alpha as text": ({"lora_alpha": "4"}, "lora_alpha"),
    "unknown modules": ({"target_modules": ["q_proj", "c_attn"]}, "c_attn"),
}


@pytest.mark.parametrize(("changes", "words"), WRONG_CONFIGS.values(), ids=WRONG_CONFIGS.keys())
def test_configurations_that_are_not_served_are_refused(base, tmp_path, changes, words):
    with pytest.raises(IncompatibleAdapterError, match=words):
        run_checks(base, tmp_path, adapter_files(**changes))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"peft_type": "LORA", "r": NaN}'])
def test_a_configuration_that_is_no_object_is_refused(base, tmp_path, text):
    with pytest.raises(IncompatibleAdapterError, match="adapter_config"):
        run_checks(base, tmp_path, adapter_files() | {CONFIG: text})


@pytest.mark.parametrize(
    "name", ["adapter_model.bin", "adapter_model.pt", "code.py", "x.pkl", "lib.so", "second.safetensors", "noending"]
)
def test_files_that_are_not_served_are_refused_before_the_download(base, name):
    files = adapter_files() | {name: pickle.dumps("anything")}
    with pytest.raises(IncompatibleAdapterError, match="is not served"):
        check_manifest(make_manifest("fix", files, base.record, 4), base, MAX_RANK)


@pytest.mark.parametrize(
    "path",
    ["../evil.json", "/etc/cron.json", "sub/x.json", "..", "", ".hidden.json", "a\x00.json", "x" * 200 + ".json"],
)
def test_file_names_cannot_leave_the_folder(base, path):
    entry = FileEntry(path=path, size_bytes=1, sha256="0" * 64)
    manifest = make_manifest("fix", adapter_files(), base.record, 4)
    manifest = manifest.model_copy(update={"files": [*manifest.files, entry]})
    with pytest.raises(IncompatibleAdapterError, match="no plain name"):
        check_manifest(manifest, base, MAX_RANK)


def test_another_base_digest_is_refused_and_both_are_named(base):
    other = BaseModelRef(name="other", digest="sha256:" + "1" * 64)
    with pytest.raises(IncompatibleAdapterError, match=r"other \(sha256:1.*tiny \(sha256:"):
        check_manifest(make_manifest("fix", adapter_files(), base.record, 4, base_model=other), base, MAX_RANK)


def test_weights_must_be_listed_once_and_be_of_a_possible_size(base):
    files = adapter_files()
    manifest = make_manifest("fix", files, base.record, 4)
    for entries in (manifest.files[:1], [*manifest.files, manifest.files[0]]):
        with pytest.raises(IncompatibleAdapterError, match="must list"):
            check_manifest(manifest.model_copy(update={"files": entries}), base, MAX_RANK)
    huge = [entry.model_copy(update={"size_bytes": 10**12}) for entry in manifest.files]
    with pytest.raises(IncompatibleAdapterError, match="at most"):
        check_manifest(manifest.model_copy(update={"files": huge}), base, MAX_RANK)
    with pytest.raises(IncompatibleAdapterError, match="takes up to 8"):
        check_manifest(manifest.model_copy(update={"rank": 9}), base, MAX_RANK)


def header_file(entries, data=b""):
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + data


GOOD = save({"x": np.ones((2, 2), np.float32)})
ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
BROKEN_FILES = {
    "empty": b"",
    "seven bytes": GOOD[:7],
    "header cut": GOOD[:20],
    "data cut": GOOD[:-1],
    "data appended": GOOD + b"\0",
    "a pickle": pickle.dumps({"x": 1}),
    "a zip": b"PK\x03\x04" + b"\0" * 100,
    "header longer than the file": struct.pack("<Q", 2**63) + b"{}",
    "header no object": struct.pack("<Q", 2) + b"[]",
    "entry no object": header_file({"x": 5}),
    "offsets backwards": header_file({"x": ENTRY | {"data_offsets": [8, 0]}}, b"\0" * 8),
    "offset negative": header_file({"x": ENTRY | {"data_offsets": [-8, 0]}}, b"\0" * 8),
    "offset not whole": header_file({"x": ENTRY | {"data_offsets": [0.0, 8.0]}}, b"\0" * 8),
    "shape disagrees": header_file({"x": ENTRY | {"shape": [3]}}, b"\0" * 8),
    "overlap": header_file({"x": ENTRY, "y": ENTRY}, b"\0" * 8),
    "gap": header_file({"x": ENTRY | {"data_offsets": [8, 16]}}, b"\0" * 16),
    "unknown dtype": header_file({"x": ENTRY | {"dtype": "OBJ"}}, b"\0" * 8),
}


@pytest.mark.parametrize("data", BROKEN_FILES.values(), ids=BROKEN_FILES.keys())
def test_broken_safetensors_are_refused(base, tmp_path, data):
    with pytest.raises(IncompatibleAdapterError, match=WEIGHTS.replace(".", r"\.")):
        run_checks(base, tmp_path, adapter_files() | {WEIGHTS: data})


@pytest.mark.parametrize("sick", ["a", "b", "c"])
def test_the_tensor_that_is_not_finite_is_named_whatever_lies_before_it(tmp_path, sick):
    """Three widths and types in one file, bfloat16 included, which numpy does not have; metadata makes the header longer."""
    infinity = {"F32": b"\0\0\x80\x7f", "F16": b"\0\x7c", "BF16": b"\x80\x7f"}
    entries, data = {"__metadata__": {"format": "pt"}}, b""
    for name, dtype in (("b", "F32"), ("a", "BF16"), ("c", "F16")):
        values = b"\0" * (4 * len(infinity[dtype])) + (
            infinity[dtype] if name == sick else b"\0" * len(infinity[dtype])
        )
        entries[name] = {"dtype": dtype, "shape": [5], "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    path = tmp_path / "x.safetensors"
    path.write_bytes(header_file(entries, data))
    header = read_header(path)
    assert header == {name: Tensor(dtype, (5,)) for name, dtype in (("b", "F32"), ("a", "BF16"), ("c", "F16"))}
    found = norms(path, header)
    assert [name for name in found if not math.isfinite(found[name])] == [sick]


def test_the_base_knows_its_linear_layers_and_no_embedding(base):
    assert len(base.linears) == 14
    assert base.linears["model.layers.1.mlp.down_proj"] == (16, 32)
    assert base.target_modules == set(lora_config()["target_modules"])


def test_a_base_without_safetensors_is_refused(base_dir):
    (base_dir / "model.safetensors").rename(base_dir / "model.bin")
    with pytest.raises(InvalidInputError, match="safetensors"):
        BaseModel.open(base_dir)


def test_a_broken_base_file_is_named(base_dir):
    (base_dir / "model.safetensors").write_bytes(b"short")
    with pytest.raises(InvalidInputError, match=r"model\.safetensors"):
        BaseModel.open(base_dir)


@pytest.mark.parametrize("factor", [1e15, 1e4])
def test_finite_weights_that_overflow_when_they_are_used_are_refused(base, tmp_path, factor):
    arrays = {name: (array * factor).astype(np.float32) for name, array in lora_arrays().items()}
    with pytest.raises(IncompatibleAdapterError, match=r"would change by a matrix of norm .* up to 10,000 is served"):
        run_checks(base, tmp_path, adapter_files(arrays=arrays))


@pytest.mark.parametrize("changes", [{"lora_alpha": 1e308}, {"lora_alpha": 1e6, "use_rslora": True}])
def test_a_scale_that_overflows_is_refused(base, tmp_path, changes):
    with pytest.raises(IncompatibleAdapterError, match="lora_alpha is wrong"):
        run_checks(base, tmp_path, adapter_files(**changes))


def test_norms_are_those_of_numpy_in_every_dtype(tmp_path):
    values = np.array([3.0, -4.0, 0.5, 2.0**100], np.float32)
    entries, data = {}, b""
    for name, kind, raw in (
        ("a", "F32", values.tobytes()),
        ("b", "F16", values[:3].astype(np.float16).tobytes()),
        ("c", "BF16", (values.view(np.uint32) >> 16).astype("<u2").tobytes()),
    ):
        size = len(raw) // (4 if kind == "F32" else 2)
        entries[name] = {"dtype": kind, "shape": [size], "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    path = tmp_path / "x.safetensors"
    path.write_bytes(header_file(entries, data))
    assert norms(path, read_header(path)) == {"a": 2.0**100, "b": math.sqrt(25.25), "c": 2.0**100}
