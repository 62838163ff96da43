"""The verdict: two lists of eval rows in, a decision with the numbers and sentences that led to it out. Pure.

Called by the CLI, the eval client, `train compare` and the report. What belongs here: reading and pairing rows (pairing), the two
claims on arrays (claims), what selection explains of the first (selection), figures for people (comparisons), the rule (decision) and its sentences (reasons). Tests and
intervals belong to burnish.statistics, pages to burnish.reporting.
"""

from burnish.verdict.claims import Answer, Improvement, Outcomes, Thresholds, find_harm, find_improvement
from burnish.verdict.comparisons import PairsByRole, compare, outcomes
from burnish.verdict.decision import decide, find_claims, usable_calibration
from burnish.verdict.pairing import Pair, Pairing, Unpaired, name_some, pair, read_calibration, read_rows
from burnish.verdict.selection import Overall, Population, find_overall, withstand_selection

__all__ = [
    "Answer",
    "Improvement",
    "Outcomes",
    "Overall",
    "Pair",
    "Pairing",
    "PairsByRole",
    "Population",
    "Thresholds",
    "Unpaired",
    "compare",
    "decide",
    "find_claims",
    "find_harm",
    "find_improvement",
    "find_overall",
    "name_some",
    "outcomes",
    "pair",
    "read_calibration",
    "read_rows",
    "usable_calibration",
    "withstand_selection",
]
