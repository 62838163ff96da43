"""How often the verdict is wrong: simulated experiments with a known truth, beside three other ways to decide.

python tests/bench/bench_verdict.py                    (the whole grid; about twenty minutes on two cores; writes docs/)
python tests/bench/bench_verdict.py --sizes 20,50      (simulate these only and keep them; a later whole run goes on from there)
Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.verdict_simulation.bars import all_checks, null_checks
from bench.verdict_simulation.cells import SIZES, all_settings
from bench.verdict_simulation.page import BARS, csv, null_csv, page
from bench.verdict_simulation.running import run_all, run_nulls
from bench.verdict_simulation.scoring import Outcome
from bench.verdict_simulation.selection import Found, all_learners, all_nulls

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "verdict-error-rates.md"
KEPT = ROOT / ".cache" / "verdict-simulation"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="questions a group, comma-separated")
    parser.add_argument("--draws", type=int, default=2000, help="simulated experiments a cell")
    parser.add_argument("--null-draws", type=int, default=1000, help="simulated experiments a null")
    parser.add_argument("--confirm", type=int, default=10_000, help="fresh draws for a setting that misses a bar")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sizes = tuple(int(size) for size in arguments.sizes.split(","))
    began = time.monotonic()
    outcomes = run_all(all_settings(sizes), arguments.draws, arguments.seed, KEPT)
    outcomes = _confirm(outcomes, arguments.confirm, arguments.seed + 1)
    nulls = run_nulls([*all_nulls(), *all_learners()], arguments.null_draws, arguments.seed, KEPT)
    nulls = _confirm_nulls(nulls, arguments.confirm, arguments.seed + 1)
    checks = [*null_checks(nulls), *all_checks(outcomes)]
    for bar in BARS:
        of_bar = [check for check in checks if check.bar == bar]
        failed = [check for check in of_bar if not check.passed]
        print(f"{'FAIL' if failed else 'PASS'} {bar}: {len(of_bar) - len(failed)} of {len(of_bar)}")
        for check in failed:
            print(f"  {check.where}: {100 * check.value:.2f} %")
    print(f"{time.monotonic() - began:.0f} s")
    if set(sizes) == set(SIZES):
        PAGE.write_text(page(outcomes, nulls, checks, arguments.draws, arguments.confirm))
        PAGE.with_name("verdict-null-rates.csv").write_text(null_csv(nulls))
        PAGE.with_suffix(".csv").write_text(csv(outcomes))
        print(f"{PAGE.relative_to(ROOT)} is written")
    return int(not all(check.passed for check in checks))


def _confirm(outcomes: list[Outcome], draws: int, seed: int) -> list[Outcome]:
    """Settings that miss a bar are simulated anew: among a thousand numbers a few miss by chance, but not twice."""
    doubtful = [o.setting for o in outcomes if not all(check.passed for check in all_checks([o]))]
    print(f"{len(doubtful)} settings miss a bar and are simulated anew with {draws} draws")
    anew = {o.setting: o for o in run_all(doubtful, draws, seed, KEPT)}
    return [anew.get(o.setting, o) for o in outcomes]


def _confirm_nulls(found: list[Found], draws: int, seed: int) -> list[Found]:
    doubtful = [f.null for f in found if not all(check.passed for check in null_checks([f]))]
    anew = {f.null: f for f in run_nulls(doubtful, draws, seed, KEPT)}
    return [anew.get(f.null, f) for f in found]


if __name__ == "__main__":
    sys.exit(main())
