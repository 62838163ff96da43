"""Every metric that a panel or an alert asks for is exposed by a service, and every one that is exposed is documented."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from promql_names import FOLDER, exposed, expressions, load, names_in

from burnish.schemas.training.job_state import JobState
from burnish_curator.metrics import CuratorMetrics
from burnish_inference.metrics import DeviceLent, EngineRestarts, InferenceMetrics
from burnish_trainer.metrics import TrainerMetrics

PAGE = Path(__file__).resolve().parents[3] / "docs/observability.md"
PROMETHEUS_OWN = {"up"}


@dataclass
class NoEngine:
    restarts: int = 0
    url: str = ""
    is_lent: bool = False
    lent_seconds: float = 0.0


def ours() -> set[str]:
    trainer, inference = TrainerMetrics(), InferenceMetrics()
    trainer.watch_queue(lambda: dict.fromkeys(JobState, 0))
    inference.registry.register(EngineRestarts(NoEngine()))
    inference.registry.register(DeviceLent(NoEngine()))
    return exposed(CuratorMetrics().registry) | exposed(trainer.registry) | exposed(inference.registry)


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_what_is_asked_for_exists(where: str, expression: str) -> None:
    """vLLM's own names are held against a real vLLM by tests/integration/inference/test_metrics.py."""
    names = {name for name in names_in(expression) if not name.startswith("vllm:")}
    assert names - ours() - PROMETHEUS_OWN == set(), where


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('up{job=~"a|b"} == 0', {"up"}),
        ('sum by (le, route) (rate(a_bucket{x!~"y{1}"}[5m])) / on (job) b:c_total > 0.05', {"a_bucket", "b:c_total"}),
        ("histogram_quantile(0.95, sum by (le) (rate(a_bucket[$__rate_interval])))", {"a_bucket"}),
        ('max(a{s="p"}) > 0 and max(b) == 0', {"a", "b"}),
    ],
)
def test_names_are_found_in_expressions(expression: str, names: set[str]) -> None:
    assert names_in(expression) == names


def test_the_page_has_every_metric_and_no_other() -> None:
    listed = set(re.findall(r"`(burnish_[a-z_]+)`", PAGE.read_text()))
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours() if name.startswith("burnish_")}
    assert listed == families


def test_dashboards_and_configuration_can_be_read() -> None:
    (dashboard,) = FOLDER.glob("grafana/dashboards/*.json")
    panels = json.loads(dashboard.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 20
    source = load(FOLDER / "grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
    asked = [target["datasource"]["uid"] for panel in panels for target in panel.get("targets", ())]
    assert set(asked) == {source["uid"]}
    scraped = load(FOLDER / "prometheus.yml")
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in scraped["scrape_configs"]}
    assert targets == {"curator": ["curator:8701"], "trainer": ["trainer:9464"], "inference": ["inference:8703"]}
    assert all(job["authorization"]["credentials_file"] for job in scraped["scrape_configs"])
    assert (FOLDER / scraped["rule_files"][0]).is_file()


def test_grafana_is_given_what_its_data_source_names() -> None:
    named = re.findall(r"\$(\w+)", (FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())
    given = load(FOLDER.parents[1] / "docker-compose.yml")["services"]["grafana"]["environment"]
    assert {"BURNISH_PROMETHEUS_URL", "BURNISH_TOKEN"} == set(named) <= set(given)


def test_over_tls_the_same_is_scraped() -> None:
    plain, secured = load(FOLDER / "prometheus.yml"), load(FOLDER / "prometheus.tls.yml")
    for job in secured["scrape_configs"]:
        assert job.pop("scheme") == "https"
        tls = job.pop("tls_config")
        assert tls.pop("ca_file") == "/tls/ca.pem"
        assert tls == ({"server_name": "trainer"} if job["job_name"] == "trainer" else {}), (
            "the certificate names no trainer-2"
        )
    assert secured == plain
