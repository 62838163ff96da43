"""Downloads a base model from a Hugging Face hub by its own client: HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean there."""

from __future__ import annotations

import fnmatch
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.digests import model_file_digests
from burnish.errors import (
    BurnishError,
    CorruptDataError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)
from burnish.extras import require
from burnish.model_files import check_not_quantised

REPOSITORY = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
# Code, pickles, GGUF and second copies (`original/`, consolidated.safetensors) stay where they are.
WANTED = ("*.json", "*.safetensors", "*.jinja", "tokenizer.model", "README.md", "LICEN[SC]E*", "NOTICE*", "USE_POLICY*")
UNWANTED = ("*/*", "consolidated*", "params.json", "tekken.json")
FIRST = ("config.json", "README.md")  # enough to refuse quantised weights before they are fetched
SPARE_BYTES = 2**30


@dataclass(frozen=True)
class HubModel:
    """A repository at one commit. licence: as its card states it. weights: file name -> sha256 of those stored as large files."""

    repository: str
    commit: str
    licence: str | None
    files: dict[str, int]
    weights: dict[str, str]

    @property
    def source(self) -> str:
        return f"{self.repository}@{self.commit}"

    @property
    def size_bytes(self) -> int:
        return sum(self.files.values())


def parse(text: str) -> tuple[str, str | None]:
    """ORG/NAME[@REV]. InvalidInputError if it is neither that nor a folder that exists."""
    match = REPOSITORY.fullmatch(text)
    if match is None:
        raise InvalidInputError(
            f"{text!r} is no folder here and no repository of a hub: give FOLDER or ORG/NAME[@REVISION]"
        )
    return match["id"], match["revision"]


def look_up(repository: str, revision: str | None) -> HubModel:
    """The commit that the revision names now, and what it has. The errors of `_translated`."""
    hub = require("huggingface_hub")
    try:
        info = hub.HfApi().model_info(repository, revision=revision, files_metadata=True)
    except Exception as error:
        raise _translated(error, repository, revision) from error
    siblings = [one for one in info.siblings or () if _is_wanted(one.rfilename)]
    if not any(one.rfilename.endswith(".safetensors") for one in siblings):
        raise PreconditionError(f"{repository} has no .safetensors weights at its top: take a repository that has them")
    return HubModel(
        repository=repository,
        commit=str(info.sha),
        licence=_licence(info),
        files={one.rfilename: one.size or 0 for one in siblings},
        weights={one.rfilename: one.lfs.sha256 for one in siblings if one.lfs},
    )


def download(model: HubModel, folder: Path) -> None:
    """Fetch the files that are missing in the folder, and check them. A connection that breaks is taken up where it was.

    PreconditionError: quantised weights (before they are fetched), or too little disk; CorruptDataError: other bytes than the hub states.
    """
    hub = require("huggingface_hub")
    try:
        for name in FIRST:
            if name in model.files:
                hub.hf_hub_download(model.repository, name, revision=model.commit, local_dir=folder)
        check_not_quantised(folder)
        _check_room(model, folder)
        hub.snapshot_download(
            model.repository, revision=model.commit, local_dir=folder, allow_patterns=list(model.files)
        )
    except BurnishError:
        raise
    except Exception as error:
        raise _translated(error, model.repository, model.commit) from error
    digests = model_file_digests(folder)
    damaged = [name for name, digest in model.weights.items() if name in digests and digests[name] != digest]
    for name in damaged:
        (folder / name).unlink()
    if damaged:
        raise CorruptDataError(f"{', '.join(damaged)} came with other bytes than the hub states: run the command again")
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's notes on what it has fetched


def _check_room(model: HubModel, folder: Path) -> None:
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed, free = model.size_bytes - held + SPARE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise PreconditionError(
            f"{model.repository} needs {needed / 1e9:.1f} GB more on the disk of {folder} and {free / 1e9:.1f} GB are free: make room, "
            "or set BURNISH_HOME to a folder on a larger disk"
        )


def _is_wanted(name: str) -> bool:
    return any(fnmatch.fnmatch(name, one) for one in WANTED) and not any(fnmatch.fnmatch(name, one) for one in UNWANTED)


def _licence(info: Any) -> str | None:
    stated = info.card_data.to_dict() if info.card_data else {}
    licence = stated.get("license_name") or stated.get("license")
    return str(licence) if licence else None


def _translated(error: Exception, repository: str, revision: str | None) -> BurnishError:
    from huggingface_hub import errors

    wanted = f"{repository}@{revision}" if revision else repository
    if isinstance(error, errors.GatedRepoError):
        return PreconditionError(
            f"{wanted} is gated: accept its licence on the hub, and set HF_TOKEN to a token of that account"
        )
    if isinstance(error, errors.RevisionNotFoundError | errors.RepositoryNotFoundError):
        return NotFoundError(
            f"the hub has no {wanted} that you may read: check the name and the revision, or set HF_TOKEN if it is private"
        )
    if isinstance(error, errors.OfflineModeIsEnabled):
        return PreconditionError(
            f"HF_HUB_OFFLINE is set, so {wanted} cannot be downloaded: unset it, or give a folder that holds the model"
        )
    return UnavailableError(
        f"{wanted} could not be fetched ({type(error).__name__}: {error}): run the command again, and it fetches the files that are still missing. "
        "On a machine without a network, copy the folder and give its path"
    )
