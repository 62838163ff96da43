"""Answers about datasets that no other room shares."""

from __future__ import annotations

from burnish.schemas.base import Frozen
from burnish.schemas.dataset import DatasetManifest


class DatasetList(Frozen):
    datasets: list[DatasetManifest]
