"""Runs settings on both cores and keeps each finished one, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.verdict_simulation.cells import Setting
from bench.verdict_simulation.scoring import Experiment, Outcome, run_setting
from bench.verdict_simulation.selection import Found, Null, score_null

import burnish.statistics
import burnish.verdict

PROCESSES = min(2, os.cpu_count() or 1)


@dataclass(frozen=True)
class Work:
    """One setting or null to simulate, and the folder that keeps its outcome."""

    setting: Setting | Null
    draws: int
    seed: int
    kept: Path

    @property
    def file(self) -> Path:
        named = repr((self.setting, self.draws, self.seed, _sources()))
        return self.kept / f"{hashlib.sha256(named.encode()).hexdigest()[:24]}.json"


def run_all(settings: Sequence[Setting], draws: int, seed: int, kept: Path) -> list[Outcome]:
    """Outcomes in the order of settings. The largest are begun first, so that both cores end together."""
    found = _run_all(sorted(settings, key=lambda s: -s.n), draws, seed, kept)
    by_setting = {work.setting: _outcome(work, outcome) for work, outcome in found}
    return [by_setting[setting] for setting in settings]


def run_nulls(nulls: Sequence[Null], draws: int, seed: int, kept: Path) -> list[Found]:
    """What was found of each null, in their order."""
    return [Found(**{**found, "null": work.setting}) for work, found in _run_all(nulls, draws, seed, kept)]


def _run_all(
    settings: Sequence[Setting] | Sequence[Null], draws: int, seed: int, kept: Path
) -> list[tuple[Work, dict[str, Any]]]:
    kept.mkdir(parents=True, exist_ok=True)
    work = [Work(setting, draws, seed, kept) for setting in settings]
    todo = [w for w in work if not w.file.exists()]
    with get_context("fork").Pool(PROCESSES) as pool:
        for done, setting in enumerate(pool.imap_unordered(_run, todo, chunksize=1), start=1):
            print(f"{done}/{len(todo)} {setting}", flush=True)
    return [(w, json.loads(w.file.read_text())) for w in work]


def _run(work: Work) -> Setting | Null:
    if isinstance(work.setting, Null):
        found = asdict(score_null(work.setting, work.draws, work.seed))
    else:
        outcome = run_setting(work.setting, work.draws, work.seed)
        found = {
            "experiments": [asdict(experiment) for experiment in outcome.experiments],
            "coverage": [[*key, share] for key, share in outcome.coverage.items()],
        }
    written = work.file.with_suffix(f".{os.getpid()}")
    written.write_text(json.dumps(found))
    written.rename(work.file)
    return work.setting


def _outcome(work: Work, found: dict[str, Any]) -> Outcome:
    assert isinstance(work.setting, Setting)
    return Outcome(
        setting=work.setting,
        draws=work.draws,
        experiments=[Experiment(**experiment) for experiment in found["experiments"]],
        coverage={(group, effect): share for group, effect, share in found["coverage"]},
    )


@cache
def _sources() -> str:
    """Digest of the code that decides and of the code that draws: an outcome of other code is not this one."""
    folders = [Path(module.__file__ or "").parent for module in (burnish.statistics, burnish.verdict)]
    folders.append(Path(__file__).parent)
    files = [path for folder in folders for path in sorted(folder.glob("*.py"))]
    undecided = ("page.py", "bars.py", "limits.py", "running.py", "reasons.py")
    deciding = [path for path in files if path.name not in undecided]
    return hashlib.sha256(b"".join(path.read_bytes() for path in deciding)).hexdigest()
