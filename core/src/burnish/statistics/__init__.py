"""Statistics of paired comparisons: exact, for small n. Only numpy and scipy; called by burnish.verdict and the eval client.

fixed: the base failed and the candidate passed. regressed: the reverse. delta = (fixed − regressed) / n and difference =
candidate − base, so that positive is better for the candidate. A group is a set of questions that are not independent of each
other, such as questions about one document; it counts as one.
"""

from burnish.statistics.intervals import (
    design_effect,
    effective_counts,
    paired_interval,
    prudent_design_effect,
    tango_interval,
)
from burnish.statistics.judge import cohens_kappa, rogan_gladen_delta, wilson_interval, youden_index
from burnish.statistics.mcnemar import Alternative, mcnemar_exact
from burnish.statistics.multiplicity import holm
from burnish.statistics.noise import disagreement_rate, flip_rate, self_loss_rate, tail_probability
from burnish.statistics.noninferiority import (
    noninferiority,
    noninferiority_bound,
    noninferiority_p,
    noninferiority_power,
    required_rest_questions,
)
from burnish.statistics.power import detectable_difference, mcnemar_power, needs_questions, required_questions
from burnish.statistics.scores import compare_scores, mean_interval
from burnish.statistics.sign_flip import sign_flip_exact
from burnish.statistics.weighted import WeightedChange, weighted_change

__all__ = [
    "Alternative",
    "WeightedChange",
    "cohens_kappa",
    "compare_scores",
    "design_effect",
    "detectable_difference",
    "disagreement_rate",
    "effective_counts",
    "flip_rate",
    "holm",
    "mcnemar_exact",
    "mcnemar_power",
    "mean_interval",
    "needs_questions",
    "noninferiority",
    "noninferiority_bound",
    "noninferiority_p",
    "noninferiority_power",
    "paired_interval",
    "prudent_design_effect",
    "required_questions",
    "required_rest_questions",
    "rogan_gladen_delta",
    "self_loss_rate",
    "sign_flip_exact",
    "tail_probability",
    "tango_interval",
    "weighted_change",
    "wilson_interval",
    "youden_index",
]
