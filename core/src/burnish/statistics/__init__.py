"""Statistics of paired pass/fail comparisons: exact, for small n. numpy and scipy only; called by burnish.verdict.

Sign convention everywhere: gained = base failed and candidate passed, lost = the reverse, delta = (gained − lost) / n,
so that positive is better for the candidate.
"""

from burnish.statistics.intervals import tango_interval
from burnish.statistics.mcnemar import Alternative, mcnemar_exact
from burnish.statistics.multiplicity import holm
from burnish.statistics.noise import flip_rate, self_loss_rate, tail_probability
from burnish.statistics.power import mcnemar_power, needs_questions, required_questions

__all__ = [
    "Alternative",
    "flip_rate",
    "holm",
    "mcnemar_exact",
    "mcnemar_power",
    "needs_questions",
    "required_questions",
    "self_loss_rate",
    "tail_probability",
    "tango_interval",
]
