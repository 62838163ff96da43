"""A sweep's record: an Optuna study in a file of the state folder, run by one process at a time."""

from __future__ import annotations

import fcntl
import json
import random
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.pruners import NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from burnish.digests import canonical_json, version_of
from burnish.errors import AlreadyExistsError, CorruptDataError, NotFoundError, PreconditionError
from burnish.layout import check_name
from burnish.schemas.base import Frozen
from burnish.schemas.training.methods import Method
from burnish_client.tuning.search_space import SearchSpace, parse_space

FOLDER = "sweeps"
SETTINGS, NONCE = "settings", "nonce"
FIRST_PERCENT = 20  # of a run at which trials are compared, since the trainer evaluates after each fifth of the steps
REDUCTION = 2  # of the trials that are compared, one in so many goes on; they are compared at 20, 40 and 80 %
JOURNAL = "CREATE TABLE IF NOT EXISTS journal (number INTEGER PRIMARY KEY, line TEXT NOT NULL)"
LOCK_LIMIT_SECONDS = 30.0

optuna.logging.set_verbosity(optuna.logging.WARNING)


class SqliteJournal(BaseJournalBackend):
    """Optuna's journal in a SQLite file: lines numbered from 1 without gaps. For several processes, each with one thread.

    Optuna's own file backend does not survive a kill: the next line is appended to a torn one, no line after it can be
    read, and its lock stays. Its SQL storage survives, but imports SQLAlchemy and Alembic (1.7 s) and is ten times as slow.
    Raises CorruptDataError if the file is no such journal.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, timeout=LOCK_LIMIT_SECONDS, isolation_level=None)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(JOURNAL)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise CorruptDataError(f"{path} is no sweep ({error}): remove it, or run under another --name") from error

    def close(self) -> None:
        self._database.close()

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        found = self._database.execute("SELECT line FROM journal WHERE number > ? ORDER BY number", (log_number_from,))
        return [json.loads(line) for (line,) in found]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = [(json.dumps(log),) for log in logs]
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT INTO journal (line) VALUES (?)", lines)


class SweepSettings(Frozen):
    """What fixes the trials of a sweep; how many there are and how many run at once may change from call to call."""

    method: Method
    dataset: str
    version: str
    params: list[str]
    sampler: Literal["random", "grid", "tpe"]
    seed: int
    prune: bool
    adapter: str

    def space(self) -> SearchSpace:
        return parse_space(self.params, self.method)


def default_name(settings: SweepSettings) -> str:
    """The same for the same settings, so that the same command continues the sweep."""
    digest = version_of(canonical_json(settings.model_dump(exclude={"adapter"})))[:8]
    return f"{settings.dataset[:40]}-{settings.method}-{digest}"


def path_of(home: Path, name: str) -> Path:
    return home / FOLDER / f"{check_name(name, 'sweep')}.sqlite3"


@contextmanager
def open_study(home: Path, name: str, settings: SweepSettings) -> Iterator[optuna.Study]:
    """The sweep's study, made if there is none, locked for this process while the context lasts.

    Raises AlreadyExistsError if `name` has other settings, PreconditionError if another process runs it.
    """
    path = path_of(home, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PreconditionError(
                f"sweep {name} is being run by another process: `burnish train sweep show {name}` shows how far it is",
                sweep=name,
            ) from None
        with _study(path, name, settings) as study:
            yield study


@contextmanager
def read_study(home: Path, name: str) -> Iterator[optuna.Study]:
    """A sweep's study to read, also while it runs. Raises NotFoundError if there is none."""
    path = path_of(home, name)
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in (home / FOLDER).glob("*.sqlite3"))) or "none yet"
        raise NotFoundError(
            f"no sweep {name!r} in {home / FOLDER}, only: {known}. `burnish train sweep METHOD` makes one", sweep=name
        )
    with _study(path, name, None) as study:
        yield study


@contextmanager
def _study(path: Path, name: str, settings: SweepSettings | None) -> Iterator[optuna.Study]:
    journal = SqliteJournal(path)
    try:
        study = optuna.create_study(
            storage=JournalStorage(journal),
            study_name=name,
            direction="minimize",
            load_if_exists=True,
            sampler=RandomSampler(),
        )
        if settings is not None:
            _record_settings(study, settings)
        study.pruner = pruner(settings_of(study))
        yield study
    finally:
        journal.close()


def _record_settings(study: optuna.Study, settings: SweepSettings) -> None:
    """Record the settings, or check that they are those recorded. The nonce, written first, makes the request ids unique."""
    if NONCE not in study.user_attrs:
        study.set_user_attr(NONCE, uuid.uuid4().hex[:16])
    if SETTINGS not in study.user_attrs:
        study.set_user_attr(SETTINGS, settings.model_dump(mode="json"))
    before = settings_of(study)
    if before != settings:
        new, old = settings.model_dump(), before.model_dump()
        differing = "; ".join(
            f"{field}: {old[field]} there, {new[field]} here" for field in new if new[field] != old[field]
        )
        raise AlreadyExistsError(
            f"sweep {study.study_name} was begun with other settings ({differing}): choose another --name",
            sweep=study.study_name,
        )


def settings_of(study: optuna.Study) -> SweepSettings:
    if SETTINGS not in study.user_attrs:
        raise NotFoundError(
            f"sweep {study.study_name} was never begun: its file holds no settings", sweep=study.study_name
        )
    return SweepSettings.model_validate(study.user_attrs[SETTINGS])


def request_id(study: optuna.Study, number: int) -> str:
    """The same for the same trial, whichever process asks."""
    return f"sweep-{study.user_attrs[NONCE]}-{number}"


def pruner(settings: SweepSettings) -> optuna.pruners.BasePruner:
    """Successive halving over percents of a run, so that trials of different lengths compete at the same percentage.

    Asynchronous: a trial is judged when it reaches such a percentage, among those that reached it before.
    Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, MLSys, algorithm 2.
    """
    if not settings.prune:
        return NopPruner()
    return SuccessiveHalvingPruner(min_resource=FIRST_PERCENT, reduction_factor=REDUCTION)


def sampler(settings: SweepSettings, number: int) -> BaseSampler:
    """The sampler that draws trial `number`. Seeded by the number, since a new process would otherwise draw its first trials again.

    Random over lists only is the grid in random order, so that no point comes twice.
    """
    space, seed = settings.space(), random.Random(f"{settings.seed} {number}").getrandbits(32)
    if settings.sampler == "grid" or (settings.sampler == "random" and space.is_listed):
        return GridSampler({parameter.name: parameter.values for parameter in space.searched}, seed=settings.seed)
    if settings.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=4, constant_liar=True)
