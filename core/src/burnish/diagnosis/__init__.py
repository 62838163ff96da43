"""Diagnosis: which failures of a run log are the model's, how they group, and which groups are worth training on."""

from burnish.diagnosis.clusters import RunCodes, check_slices, diagnose, read_codes
from burnish.diagnosis.problems import MINIMUM_QUESTIONS
from burnish.schemas.runlog import UNLABELLED

__all__ = ["MINIMUM_QUESTIONS", "UNLABELLED", "RunCodes", "check_slices", "diagnose", "read_codes"]
