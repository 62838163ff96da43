"""The price of a hosted job, by the table that the operator set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unit.trainer.made import job_spec

from burnish.errors import PreconditionError
from burnish.schemas.base import VersionRef
from burnish_trainer.preflight.prices import PriceTable

DATASET = VersionRef(name="colours", version="0" * 16)
DATE = "2026-11-01"


def table(*prices: tuple[str, dict[str, float]]) -> PriceTable:
    rows = [{"provider": "openai", "model": m, "usd_per_million_tokens": rates, "date": DATE} for m, rates in prices]
    return PriceTable.model_validate({"prices": rows})


def estimate(
    prices: PriceTable, model: str = "gpt-4.1-nano", limit: float = 1.0, method: str = "sft", provider: str = "openai"
) -> Any:
    hosted = {"provider": provider, "model": model, "spend_limit_usd": limit}
    spec = job_spec(DATASET, method=method, hosted=hosted, optimizer={"epochs": 3})
    assert spec.hosted is not None
    return prices.estimate(spec.hosted, spec, tokens=100_000)


def test_the_price_is_that_of_the_tokens_of_all_epochs() -> None:
    estimated, findings = estimate(table(("gpt-4.1-nano", {"sft": 2.0})))
    assert (estimated.tokens, estimated.cost_usd, findings) == (300_000, pytest.approx(0.6), [])
    assert estimated.basis == "100,000 tokens by the base model's tokenizer, 3 times, at $2 a million (2026-11-01)"


def test_the_first_price_that_fits_counts() -> None:
    prices = table(("gpt-4.1-nano", {"dpo": 9.0}), ("gpt-4.1*", {"sft": 2.0}), ("gpt-4.1-nano", {"sft": 5.0}))
    assert estimate(prices)[0].cost_usd == pytest.approx(0.6)
    assert estimate(prices, method="dpo")[0].cost_usd == pytest.approx(2.7)


def test_a_price_above_the_limit_is_refused() -> None:
    _, (finding,) = estimate(table(("*", {"sft": 2.0})), limit=0.5)
    assert (finding.code, finding.severity) == ("over-spend-limit", "refusal")
    assert "about $0.60 and its limit is $0.50" in finding.message


def test_a_price_that_nobody_knows_is_refused() -> None:
    estimated, (finding,) = estimate(PriceTable.shipped())
    assert (estimated.cost_usd, finding.code, finding.severity) == (None, "price-unknown", "refusal")


def test_a_provider_that_says_the_price_itself_is_waited_for() -> None:
    estimated, (finding,) = estimate(PriceTable.shipped(), provider="together")
    assert (estimated.cost_usd, finding.code, finding.severity) == (None, "price-from-provider", "warning")


@pytest.mark.parametrize(
    ("model", "sft", "dpo"),
    [
        ("accounts/fireworks/models/llama-v3p1-8b-instruct", 0.15, 0.3),
        ("accounts/fireworks/models/qwen2p5-1p5b", 0.15, 0.3),
        ("accounts/fireworks/models/llama-v3p3-70b-instruct", 0.9, 1.8),
        ("accounts/fireworks/models/qwen3-235b-a22b", None, None),
        ("accounts/fireworks/models/kimi-k2", None, None),
    ],
)
def test_fireworks_charges_by_the_size_that_a_models_name_says(
    model: str, sft: float | None, dpo: float | None
) -> None:
    costs = [estimate(PriceTable.shipped(), model, 10.0, method, "fireworks")[0].cost_usd for method in ("sft", "dpo")]
    assert costs == [expected and pytest.approx(expected) for expected in (sft, dpo)]


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"prices": [{"provider": "openai"}]}')
    with pytest.raises(PreconditionError, match="BURNISH_TRAINER_PRICES"):
        PriceTable.read(path)
    with pytest.raises(PreconditionError, match="cannot be read"):
        PriceTable.read(tmp_path / "none.json")
