"""Cost of a side: what was really asked, its tokens, and money only where it is known in full."""

from __future__ import annotations

import pytest
from unit.evaluation.questions import make_answer

from burnish_client.evaluation.output import costs
from burnish_client.evaluation.request import Prices

ASKED = make_answer(1, prompt_tokens=1000, completion_tokens=100, latency_ms=500.0)
PRICES = Prices(prompt=2.0, completion=10.0, currency="EUR")


def test_money_and_tokens_of_what_was_asked() -> None:
    reused = ASKED.model_copy(update={"reused": True})
    failed = make_answer(2, text=None, error="HTTP 500")
    base, candidate = costs(
        {"base": [ASKED, reused, failed], "candidate": [ASKED, ASKED]}, {"base": PRICES, "candidate": PRICES}
    )
    assert (base.side, base.asked, base.reused) == ("base", 2, 1)
    assert (base.prompt_tokens, base.completion_tokens, base.seconds) == (1000, 100, 0.5)
    assert base.money == pytest.approx(0.003)
    assert candidate.money == pytest.approx(0.006)
    assert candidate.currency == "EUR"


def test_prices_of_one_side_only() -> None:
    base, candidate = costs({"base": [ASKED], "candidate": [ASKED]}, {"candidate": PRICES})
    assert (base.money, base.currency) == (None, "")
    assert candidate.money == pytest.approx(0.003)


def test_no_money_if_the_endpoint_counted_no_tokens_or_no_price_is_known() -> None:
    uncounted = make_answer(3, latency_ms=1.0)
    (side,) = costs({"base": [ASKED, uncounted]}, {"base": PRICES})
    assert side.money is None
    assert side.prompt_tokens == 1000
    assert costs({"base": [ASKED]}, {})[0].money is None


def test_a_side_that_asked_nothing_cost_nothing() -> None:
    (side,) = costs({"base": []}, {"base": PRICES})
    assert (side.asked, side.money) == (0, 0.0)
