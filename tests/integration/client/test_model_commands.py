"""Base models by name: added from a folder and from a hub, checked, listed, removed, and what a stack starts on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from families.models import BY_NAME, make
from hub_server import COMMIT, Hub, serving

from burnish.digests import model_digest
from burnish.errors import AlreadyExistsError, HeldError, InvalidInputError, NotFoundError, PreconditionError
from burnish.schemas.models import RECORD, ModelCheck, read_record
from burnish_client.cli.app import run
from burnish_client.stack import control, state
from burnish_client.stack.models import hub
from burnish_client.stack.models.adding import Added, add_folder
from burnish_client.stack.models.removing import remove
from burnish_client.stack.models.shelf import Shelf
from burnish_client.stack.settings import StackSettings

pytestmark = pytest.mark.model

REPOSITORY = "Qwen/Tiny-Qwen2.5-Instruct"
FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")  # fmt: skip
DOWNLOAD = """
import sys
from burnish.errors import BurnishError
from burnish_client.stack.models.adding import add_repository
from burnish_client.stack.settings import StackSettings

class Told:
    def note(self, message): print("note:", message)
    def checks(self, checks): pass

try:
    added = add_repository(sys.argv[1], StackSettings(), None, None, Told(), check=lambda folder, python: [])
except BurnishError as error:
    sys.exit(f"{type(error).__name__}: {error.message}")
print(added.model.record.model_dump_json())
"""


class Told:
    def note(self, message: str) -> None:
        """Nobody reads it."""

    def checks(self, checks: Any) -> None:
        """Nobody reads them."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "Tiny_Qwen"
    make(BY_NAME["qwen-2.5"], folder)
    (folder / RECORD).unlink()
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny")
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    return StackSettings(home=tmp_path / "home", base_model=tmp_path / "none")


def right(folder: Path, python: Path) -> list[ModelCheck]:
    return [ModelCheck(subject="serving", state="right", found="it is")]


def added(folder: Path, settings: StackSettings, name: str | None = None) -> Added:
    return add_folder(str(folder), settings, name, None, Told(), check=right)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A state folder that the command line finds."""
    monkeypatch.setenv("BURNISH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BURNISH_BASE_MODEL", str(tmp_path / "none"))
    return tmp_path / "home"


@pytest.mark.vllm
def test_a_folder_is_checked_recorded_listed_and_removed(
    tiny: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the real checks, by PEFT and by vLLM."""
    assert run(["model", "add", str(tiny), "--name", "tiny-qwen", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["licence"], told["digest"]) == ("tiny-qwen", "apache-2.0", model_digest(tiny))
    found = {check["subject"]: (check["state"], check["found"]) for check in told["checks"]}
    assert found["pad token"] == ("right", "<|endoftext|>")
    assert found["chat template"] == ("right", "answers end in <|im_end|>; it takes a system message")
    assert found["target modules"][1].startswith("q_proj, k_proj, v_proj")
    assert found["training"] == ("right", "Qwen2ForCausalLM, by transformers and PEFT")
    assert found["serving"][0] == "right"
    assert found["tool parser"] == ("warning", "none: the chat template takes no tools")
    assert run(["model", "ls", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["folder"], listed["in_use"]) == ("tiny-qwen", str(tiny), False)
    assert run(["model", "rm", "tiny-qwen"]) == 1
    assert "--unchecked" in capsys.readouterr().err
    assert run(["model", "rm", "tiny-qwen", "--unchecked"]) == 0
    assert "is as it was" in capsys.readouterr().out
    assert (tiny / "model.safetensors").is_file()
    (tiny / RECORD).unlink()


def test_a_refused_model_leaves_no_name(tiny: Path, settings: StackSettings) -> None:
    def wrong(folder: Path, python: Path) -> list[ModelCheck]:
        return [*right(folder, python), ModelCheck(subject="pad token", state="refused", found="it has none")]

    with pytest.raises(PreconditionError, match="pad token: it has none"):
        add_folder(str(tiny), settings, None, None, Told(), check=wrong)
    assert Shelf(settings.home, settings.base_model).all() == []
    assert not (tiny / RECORD).exists()


def test_names(tiny: Path, settings: StackSettings, tmp_path: Path) -> None:
    assert added(tiny, settings).model.name == "tiny_qwen"
    assert added(tiny, settings).model.name == "tiny_qwen", "once more is no fault"
    other = tmp_path / "other"
    make(BY_NAME["phi-4"], other)
    with pytest.raises(AlreadyExistsError, match="choose another --name"):
        added(other, settings, "tiny_qwen")
    with pytest.raises(InvalidInputError):
        added(other, settings, "../up")
    assert added(other, settings).model.name == "phi-4", "its record names it"
    assert [model.name for model in Shelf(settings.home, settings.base_model).all()] == ["phi-4", "tiny_qwen"]


def test_a_hostile_name_removes_nothing(settings: StackSettings, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    shelf = Shelf(settings.home, settings.base_model)
    with pytest.raises(InvalidInputError):
        shelf.remove("../../precious")
    assert (tmp_path / "precious").is_dir()


def test_a_folder_that_went_is_said_and_can_be_forgotten(settings: StackSettings, tmp_path: Path) -> None:
    folder = tmp_path / "short-lived"
    make(BY_NAME["phi-4"], folder)
    added(folder, settings, "gone")
    folder.rename(tmp_path / "elsewhere")
    shelf = Shelf(settings.home, settings.base_model)
    assert (shelf.all(), shelf.gone()) == ([], ["gone"])
    with pytest.raises(NotFoundError, match="its folder has gone"):
        shelf.named("gone")
    assert remove("gone", settings).kept
    assert shelf.gone() == []


def test_a_stack_starts_on_the_named_model_then_on_its_last(
    tiny: Path, settings: StackSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BURNISH_BASE_MODEL", raising=False)
    folder = added(tiny, settings, "named").model.folder
    fresh = StackSettings(home=settings.home)
    assert control.choose_base_model(fresh, "named") == folder
    assert control.choose_base_model(fresh, None) == fresh.base_model, "it has never been started"
    write_state(settings.home, "named", folder, pid=1)
    assert control.choose_base_model(fresh, None) == folder
    assert control.choose_base_model(settings, None) == settings.base_model, "BURNISH_BASE_MODEL is set"
    write_state(settings.home, "named", tmp_path / "vanished", pid=1)
    with pytest.raises(PreconditionError, match="burnish model ls"):
        control.choose_base_model(fresh, None)


def test_a_running_stack_keeps_its_model(tiny: Path, settings: StackSettings) -> None:
    folder = added(tiny, settings, "served").model.folder
    write_state(settings.home, "served", folder, pid=os.getpid())
    with pytest.raises(PreconditionError, match="burnish up --model other"), control.Launch(settings, model="other"):
        pass
    with pytest.raises(HeldError, match="the stack runs on"):
        remove("served", settings)


def write_state(home: Path, name: str, folder: Path, pid: int) -> None:
    home.mkdir(parents=True, exist_ok=True)
    identity = state.ProcessIdentity.of(pid)
    written = state.StackState(
        phase="running", supervisor=identity, base_model=name, base_model_folder=str(folder), parts=[], ports={},
        curator_url=None, trainer_address=None, inference_url=None, s3_endpoint="", s3_access_key="", s3_secret_key="", token="",
    )  # fmt: skip
    state.write(home, written)


def download(source: str, home: Path, of: Hub) -> subprocess.CompletedProcess[str]:
    """In a process of its own, since the hub client reads its settings when it is imported."""
    environment = os.environ | {
        "HF_ENDPOINT": of.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HOME": str(home / "hf"),
        "BURNISH_HOME": str(home),
        "BURNISH_BASE_MODEL": str(home / "none"),
    }
    return subprocess.run(
        [sys.executable, "-c", DOWNLOAD, source],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )


def repository(tiny: Path) -> Hub:
    files = {name: (tiny / name).read_bytes() for name in FILES}
    unwanted = {"pytorch_model.bin": b"pickle", "consolidated.safetensors": b"twice", "original/x.json": b"{}"}
    return Hub(REPOSITORY, files | unwanted, card={"license": "other", "license_name": "qwen-research"})


def test_a_broken_connection_is_taken_up_where_it_was(tiny: Path, tmp_path: Path) -> None:
    hub_ = repository(tiny)
    hub_.files["model.safetensors"] = os.urandom(24 * 2**20)  # the client writes 10 MiB at a time
    hub_.breaks = 1
    with serving(hub_):
        done = download(f"{REPOSITORY}@main", tmp_path, hub_)
        assert done.returncode == 0, done.stderr
        assert hub_.ranges_of("model.safetensors") == [None, f"bytes={10 * 2**20}-"]
    assert "licence qwen-research" in done.stdout
    folder = tmp_path / "models" / "tiny-qwen2.5-instruct"
    record = read_record(folder)
    assert (record.source, record.licence) == (f"{REPOSITORY}@{COMMIT}", "qwen-research")
    assert record.digest == model_digest(folder)
    assert (folder / "model.safetensors").read_bytes() == hub_.files["model.safetensors"]
    assert {path.name for path in folder.iterdir()} - {RECORD, "burnish-digests.json"} == set(FILES)


def test_a_download_that_broke_off_goes_on_with_what_is_missing(tiny: Path, tmp_path: Path) -> None:
    with serving(repository(tiny)) as hub_:
        hub_.breaks = 100
        broken = download(REPOSITORY, tmp_path, hub_)
        assert broken.returncode == 1
        assert "UnavailableError" in broken.stderr
        assert "run the command again" in broken.stderr
        assert not (tmp_path / "models" / "tiny-qwen2.5-instruct").exists()
        hub_.breaks = 0
        hub_.asked.clear()
        done = download(REPOSITORY, tmp_path, hub_)
        assert done.returncode == 0, done.stderr
        assert len(hub_.ranges_of("model.safetensors")) == 1
        assert hub_.ranges_of("config.json") == [], "it is there already"


def test_other_bytes_than_the_hub_states_are_refused(tiny: Path, tmp_path: Path) -> None:
    hub_ = repository(tiny)
    hub_.stated["model.safetensors"] = "0" * 64
    with serving(hub_):
        done = download(REPOSITORY, tmp_path, hub_)
    assert done.returncode == 1
    assert "CorruptDataError: model.safetensors came with other bytes" in done.stderr


def test_quantised_weights_are_refused_before_they_are_fetched(tiny: Path, tmp_path: Path) -> None:
    hub_ = repository(tiny)
    config = json.loads(hub_.files["config.json"]) | {"quantization_config": {"quant_method": "bitsandbytes"}}
    hub_.files["config.json"] = json.dumps(config).encode()
    hub_.files["README.md"] = b"---\nbase_model: Qwen/Qwen2.5-7B-Instruct\n---\n"
    with serving(hub_):
        done = download(REPOSITORY, tmp_path, hub_)
    assert done.returncode == 1
    assert "take Qwen/Qwen2.5-7B-Instruct" in done.stderr
    assert hub_.ranges_of("model.safetensors") == []


@pytest.mark.parametrize(
    ("source", "gated", "says"),
    [
        ("Qwen/Nothing", False, "NotFoundError: the hub has no Qwen/Nothing"),
        (f"{REPOSITORY}@v9", False, f"NotFoundError: the hub has no {REPOSITORY}@v9"),
        (REPOSITORY, True, "PreconditionError: .* is gated: accept its licence"),
    ],
)
def test_what_the_hub_refuses_is_told(tiny: Path, tmp_path: Path, source: str, gated: bool, says: str) -> None:
    import re

    hub_ = repository(tiny)
    hub_.gated = gated
    with serving(hub_):
        done = download(source, tmp_path, hub_)
    assert done.returncode == 1
    assert re.search(says, done.stderr), done.stderr


def test_without_a_network_a_folder_is_asked_for(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert run(["model", "add", REPOSITORY]) == 1
    assert "give a folder that holds the model" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("text", ["no-such-folder", "/no/such/folder", "a/b/c"])
def test_neither_folder_nor_repository(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"FOLDER or ORG/NAME"):
        hub.parse(text)
