"""The base models of a stack by name: <home>/models/<name> is a downloaded folder, or a link to a folder that is elsewhere."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import AlreadyExistsError, NotFoundError
from burnish.layout import check_name
from burnish.model_files import weight_files
from burnish.schemas.models import RECORD, BaseModelRecord, read_record

FOLDER, DOWNLOADS = "models", ".downloads"


@dataclass(frozen=True)
class ShelvedModel:
    """A recorded base model. is_link: its folder is the user's own, and removing the name leaves it."""

    record: BaseModelRecord
    folder: Path
    is_link: bool

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def weight_bytes(self) -> int:
        return sum(file.stat().st_size for file in weight_files(self.folder))


@dataclass(frozen=True)
class Removed:
    """kept: whether the folder is still there."""

    folder: Path
    kept: bool


class Shelf:
    """Of one state folder. default: the folder that the stack takes if nothing else is said; listed if it is recorded."""

    def __init__(self, home: Path, default: Path) -> None:
        self._root = home.resolve() / FOLDER
        self._default = default

    def all(self) -> list[ShelvedModel]:
        """By name. Names whose folder has gone are left out: `gone` has them."""
        entries = sorted(self._root.iterdir()) if self._root.is_dir() else []
        found = {entry.name: _opened(entry) for entry in entries if (entry / RECORD).is_file()}
        if (self._default / RECORD).is_file():
            default = _opened(self._default)
            found.setdefault(default.name, ShelvedModel(default.record, default.folder, is_link=True))
        return [found[name] for name in sorted(found)]

    def gone(self) -> list[str]:
        entries = self._root.iterdir() if self._root.is_dir() else ()
        return sorted(entry.name for entry in entries if entry.is_symlink() and not (entry / RECORD).is_file())

    def named(self, name: str) -> ShelvedModel:
        """NotFoundError if no model was added under that name, or if its folder has gone."""
        models = {model.name: model for model in self.all()}
        if name not in models:
            why = "its folder has gone" if name in self.gone() else "no such base model was added"
            raise NotFoundError(
                f"base model {name}: {why}: `burnish model ls` lists them, `burnish model add` adds one"
            )
        return models[name]

    def check_free(self, name: str, folder: Path) -> None:
        """InvalidInputError if it is no name, AlreadyExistsError if it stands for another folder."""
        check_name(name, "name")
        other = next((model for model in self.all() if model.name == name), None)
        if other is not None and other.folder != folder.resolve():
            raise AlreadyExistsError(
                f"base model {name} is {other.folder} already: choose another --name, or `burnish model rm {name}`"
            )

    def download_folder(self, name: str) -> Path:
        """Where a download lies until it is whole and checked; kept if it breaks off, so that the next one fetches only what is missing."""
        folder = self._root / DOWNLOADS / check_name(name, "name")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def keep(self, name: str, downloaded: Path) -> ShelvedModel:
        """Give a whole download its name."""
        downloaded.rename(self._root / name)
        return self.named(name)

    def link(self, name: str, folder: Path) -> ShelvedModel:
        """Let the name stand for a folder that is elsewhere."""
        self._root.mkdir(parents=True, exist_ok=True)
        entry = self._root / name
        if folder.resolve() not in (self._default.resolve(), entry.resolve()):
            entry.unlink(missing_ok=True)
            entry.symlink_to(folder.resolve(), target_is_directory=True)
        return self.named(name)

    def remove(self, name: str) -> Removed:
        """The name, and the folder if it was downloaded."""
        entry = self._root / check_name(name, "name")
        if entry.is_symlink():
            led = entry.readlink()
            entry.unlink()
            return Removed(led, kept=True)
        if entry.is_dir():
            shutil.rmtree(entry)
            return Removed(entry, kept=False)
        self.named(name)
        raise NotFoundError(
            f"base model {name} is the one that `make setup` made, or BURNISH_BASE_MODEL names: it was not added, so it is not removed"
        )


def _opened(entry: Path) -> ShelvedModel:
    return ShelvedModel(read_record(entry), entry.resolve(), entry.is_symlink())
