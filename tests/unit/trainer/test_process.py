"""What the server process may load, what settings say of themselves, and whose folder it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from burnish.errors import PreconditionError
from burnish.service.settings import S3Settings, TokenSettings
from burnish_trainer.scheduler.workdir import WorkDir
from burnish_trainer.settings import HostedSettings, ReportSettings, TrainerSettings

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "unsloth", "numpy")


def test_the_server_process_imports_no_model_library() -> None:
    """Everything that `main` can reach before a worker is started, the methods' parameters included."""
    code = (
        "import sys, burnish_trainer.main\n"
        "from burnish.schemas.training.methods import METHODS\n"
        "[method.params() for method in METHODS.values()]\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("settings", [S3Settings, TokenSettings, ReportSettings, TrainerSettings, HostedSettings])
def test_every_setting_is_described_and_frozen(settings: type) -> None:
    assert all(field.description for field in settings.model_fields.values())  # type: ignore[attr-defined]
    assert settings.model_config["frozen"]  # type: ignore[attr-defined]


def test_the_token_shows_in_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_TOKEN", "do-not-show")
    assert "do-not-show" not in repr(TokenSettings())


def test_a_work_dir_belongs_to_one_trainer_and_keeps_its_name(tmp_path: Path) -> None:
    first = WorkDir(tmp_path / "work")
    with pytest.raises(PreconditionError, match="belongs to a trainer that is running"):
        WorkDir(tmp_path / "work")
    name = first.engine_id
    first.close()
    again = WorkDir(tmp_path / "work")
    assert again.engine_id == name
    again.close()
