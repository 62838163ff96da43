"""Metric names in what deploy/observability asks Prometheus for, and those that a registry exposes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry

FOLDER = Path(__file__).resolve().parents[1] / "deploy/observability"
# What stands between quotes, braces (matchers), brackets (ranges), and label lists is no metric.
NOT_METRICS = re.compile(
    r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)'
)
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\(|[\w:])")
WORDS = frozenset({"and", "or", "unless", "by", "without", "bool", "offset"})
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


def names_in(expression: str) -> set[str]:
    """The metrics that a PromQL expression selects."""
    bare = NOT_METRICS.sub(" ", NOT_METRICS.sub(" ", expression))
    return {name for name in NAME.findall(bare) if name not in WORDS}


def expressions() -> Iterator[tuple[str, str]]:
    """(where it stands, PromQL) of every panel and every alert."""
    for path in sorted(FOLDER.glob("grafana/dashboards/*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield f"{path.name}: {panel['title']}", target["expr"]
    for group in load(FOLDER / "alerts.yml")["groups"]:
        for rule in group["rules"]:
            yield f"alerts.yml: {rule['alert']}", rule["expr"]


def exposed(registry: CollectorRegistry) -> set[str]:
    """Names of all series, those of metrics without a sample yet included."""
    return {family.name + suffix for family in registry.collect() for suffix in SUFFIXES.get(family.type, ("",))}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())
