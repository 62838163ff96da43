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

from bench.verdict_simulation.cells import Setting
from bench.verdict_simulation.scoring import Experiment, Outcome, run_setting

import burnish.statistics
import burnish.verdict.claims

PROCESSES = min(2, os.cpu_count() or 1)


@dataclass(frozen=True)
class Work:
    """One setting to simulate, and the folder that keeps its outcome."""

    setting: Setting
    draws: int
    seed: int
    kept: Path

    @property
    def file(self) -> Path:
        named = repr((self.setting, self.draws, self.seed, _sources()))
        return self.kept / f"{hashlib.sha256(named.encode()).hexdigest()[:24]}.json"


def run_all(settings: Sequence[Setting], draws: int, seed: int, kept: Path) -> list[Outcome]:
    """Outcomes in the order of settings. The largest are begun first, so that both cores end together."""
    kept.mkdir(parents=True, exist_ok=True)
    work = [Work(setting, draws, seed, kept) for setting in settings]
    todo = sorted((w for w in work if not w.file.exists()), key=lambda w: -w.setting.n)
    with get_context("fork").Pool(PROCESSES) as pool:
        for done, setting in enumerate(pool.imap_unordered(_run, todo, chunksize=1), start=1):
            print(f"{done}/{len(todo)} {setting}", flush=True)
    return [_read(w) for w in work]


def _run(work: Work) -> Setting:
    outcome = run_setting(work.setting, work.draws, work.seed)
    found = {
        "experiments": [asdict(experiment) for experiment in outcome.experiments],
        "coverage": [[*key, share] for key, share in outcome.coverage.items()],
    }
    written = work.file.with_suffix(f".{os.getpid()}")
    written.write_text(json.dumps(found))
    written.rename(work.file)
    return work.setting


def _read(work: Work) -> Outcome:
    found = json.loads(work.file.read_text())
    return Outcome(
        setting=work.setting,
        draws=work.draws,
        experiments=[Experiment(**experiment) for experiment in found["experiments"]],
        coverage={(group, effect): share for group, effect, share in found["coverage"]},
    )


@cache
def _sources() -> str:
    """Digest of the code that decides and of the code that draws: an outcome of other code is not this one."""
    folders = [Path(burnish.statistics.__file__).parent, Path(__file__).parent]
    files = [Path(burnish.verdict.claims.__file__)]
    files += [path for folder in folders for path in sorted(folder.glob("*.py"))]
    deciding = [path for path in files if path.name not in ("page.py", "bars.py", "limits.py", "running.py")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in deciding)).hexdigest()
