"""Records the parameters of the Unsloth functions that backends/unsloth.py calls, read from the pinned wheel's source.

Run it if the pin moves: `python tests/unit/trainer/record_unsloth.py unsloth==2026.10.9`. Nothing of Unsloth is imported or
installed. It fails if something else that backends/unsloth.py relies on is no longer so.
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


def require_empty(source: str, function_name: str) -> None:
    """LookupError if a module's function does anything but return."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == function_name:
            if all(isinstance(item, (ast.Pass, ast.Return)) for item in node.body):
                return
            raise LookupError(f"{function_name} does something again: backends/unsloth.py must call it")
    raise LookupError(f"{function_name} is not there any more")


def require_handed_on(source: str, function_name: str) -> None:
    """LookupError unless a function builds `arguments = dict(…, **kwargs)` and gives them to peft.LoraConfig."""
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
                return
    raise LookupError(
        f"{function_name} does not hand its other keywords on to LoraConfig any more: use_dora would be lost"
    )


def require_placed(source: str) -> None:
    """LookupError unless from_pretrained replaces an automatic device_map by the process's own GPU."""
    assigned = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assign)]
    called = [ast.unparse(value.func) for value in assigned if isinstance(value, ast.Call)]
    if "prepare_device_map" not in called:
        raise LookupError("from_pretrained places no process on its own GPU any more: give it a device_map")


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
            for name in PATCHES:
                require_empty(archive.read("unsloth/models/dpo.py").decode(), name)
            require_handed_on(archive.read("unsloth/models/llama.py").decode(), "get_peft_model")
            require_placed(archive.read("unsloth/models/loader.py").decode())
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    said = {"requirement": requirement, "wheel_sha256": digest, "functions": functions}
    RECORD.write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    record(sys.argv[1])
