"""Records the parameters of the Unsloth functions that backends/unsloth.py calls, read from the pinned wheel's source.

Run where the pin moves: `python tests/unit/trainer/record_unsloth.py unsloth==2026.10.9`. Nothing of Unsloth is imported or installed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

RECORD = Path(__file__).with_name("unsloth_signatures.json")
FUNCTIONS = {
    "FastLanguageModel.from_pretrained": ("unsloth/models/loader.py", "FastLanguageModel", "from_pretrained"),
    "FastLanguageModel.get_peft_model": ("unsloth/models/llama.py", "FastLlamaModel", "get_peft_model"),
    "FastLanguageModel.for_training": ("unsloth/models/loader.py", "FastLanguageModel", "for_training"),
}
PATCHES = ("PatchDPOTrainer", "PatchKTOTrainer")


def parameters(source: str, class_name: str, function_name: str) -> dict[str, object]:
    """Names that can be given by keyword, and whether it takes any others."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name == function_name:
                    arguments = item.args
                    names = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
                    return {"names": names, "takes_any_keyword": arguments.kwarg is not None}
    raise LookupError(f"{class_name}.{function_name} is not there any more")


def is_empty(source: str, function_name: str) -> bool:
    """Whether a module's function does nothing but return."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == function_name:
            return all(isinstance(item, (ast.Pass, ast.Return)) for item in node.body)
    raise LookupError(f"{function_name} is not there any more")


def receives_other_keywords(source: str, function_name: str) -> str:
    """The callable whose arguments are built by `arguments = dict(…, **kwargs)` in a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == function_name:
            text = ast.unparse(node)
            built = any(
                isinstance(item, ast.Call)
                and ast.unparse(item.func) == "dict"
                and any(keyword.arg is None and ast.unparse(keyword.value) == "kwargs" for keyword in item.keywords)
                for item in ast.walk(node)
            )
            if built and "LoraConfig(**arguments)" in text:
                return "LoraConfig"
    raise LookupError(f"{function_name} does not hand its other keywords on any more")


def places_each_process(source: str) -> bool:
    """Whether from_pretrained replaces an automatic device_map by the process's own GPU."""
    return any(
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "prepare_device_map"
        for node in ast.walk(ast.parse(source))
    )


def record(requirement: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, requirement], check=True
        )
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            functions = {
                name: parameters(archive.read(path).decode(), class_name, function)
                for name, (path, class_name, function) in FUNCTIONS.items()
            }
            patches = archive.read("unsloth/models/dpo.py").decode()
            facts = {
                "empty_functions": [name for name in PATCHES if is_empty(patches, name)],
                "hands_other_keywords_to": receives_other_keywords(
                    archive.read("unsloth/models/llama.py").decode(), "get_peft_model"
                ),
                "places_each_process": places_each_process(archive.read("unsloth/models/loader.py").decode()),
            }
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    said = {"requirement": requirement, "wheel_sha256": digest, "functions": functions, **facts}
    RECORD.write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    record(sys.argv[1])
