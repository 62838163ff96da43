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
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    RECORD.write_text(
        json.dumps({"requirement": requirement, "wheel_sha256": digest, "functions": functions}, indent=1) + "\n"
    )


if __name__ == "__main__":
    record(sys.argv[1])
