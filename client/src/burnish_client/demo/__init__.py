"""The demo: a benchmark made from the standard library of this machine, and the main job done on it end to end."""

from burnish_client.demo.main_job import NotImprovedError, run
from burnish_client.demo.recipe import FULL, SMALL, Recipe

__all__ = ["FULL", "SMALL", "NotImprovedError", "Recipe", "run"]
