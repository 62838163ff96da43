"""What providers charge for training, as a dated table that the operator may set, and the price of a job by it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from burnish.errors import PreconditionError, validation_problems
from burnish.schemas.base import Frozen
from burnish.schemas.training.hosted import PROVIDERS, HostedSpec, ProviderName
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.methods import Method
from burnish.schemas.training.tuning import Finding, RunEstimate
from burnish_trainer.preflight.registry import finding

MILLION = 1e6
BILLIONS = re.compile(r"(?:^|[-_/])(\d+(?:[.p]\d+)?)b(?=$|[-_.])", re.IGNORECASE)


class Price(Frozen):
    """usd_per_million_tokens: of each method, for a token that is trained on in each epoch. date: when that was read.

    model: as the provider names it; one that ends in * stands for all that begin so. up_to_billions: only for models of up to so many
    parameters, as the name says it (llama-v3p1-8b-instruct: 8; none said: not for this one).
    """

    provider: ProviderName
    model: str
    usd_per_million_tokens: dict[Method, float]
    date: date
    up_to_billions: float | None = None

    def is_of(self, hosted: HostedSpec) -> bool:
        begins = self.model.removesuffix("*")
        fits = hosted.model.startswith(begins) if self.model.endswith("*") else hosted.model == begins
        return fits and hosted.provider == self.provider and self._is_of_size(hosted.model)

    def _is_of_size(self, model: str) -> bool:
        if self.up_to_billions is None:
            return True
        said = BILLIONS.search(model)
        return said is not None and float(said[1].replace("p", ".")) <= self.up_to_billions


class PriceTable(Frozen):
    """The first price that fits counts."""

    prices: list[Price] = []

    @classmethod
    def shipped(cls) -> PriceTable:
        """Nothing that was not read from a provider: of OpenAI's, no price was; Together says its own."""
        own = {"provider": "fireworks", "model": "*", "date": date(2026, 10, 1)}
        small, large = {"sft": 0.5, "dpo": 1.0}, {"sft": 3.0, "dpo": 6.0}
        bands = [(16.0, small), (80.0, large)]
        return cls.model_validate(
            {"prices": [own | {"up_to_billions": up_to, "usd_per_million_tokens": rates} for up_to, rates in bands]}
        )

    @classmethod
    def read(cls, path: Path | None) -> PriceTable:
        """The operator's table before the shipped one. PreconditionError if it is not one."""
        if path is None:
            return cls.shipped()
        try:
            own = cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise PreconditionError(f"BURNISH_TRAINER_PRICES: {path} cannot be read: {error}") from error
        except ValidationError as error:
            raise PreconditionError(f"BURNISH_TRAINER_PRICES: {path}: {validation_problems(error)}") from error
        return cls(prices=[*own.prices, *cls.shipped().prices])

    def estimate(self, hosted: HostedSpec, spec: JobSpec, tokens: int) -> tuple[RunEstimate, list[Finding]]:
        """tokens: of the training rows, each once."""
        trained = round(tokens * spec.optimizer.epochs)
        fits = (price for price in self.prices if price.is_of(hosted) and spec.method in price.usd_per_million_tokens)
        price = next(fits, None)
        rate = price.usd_per_million_tokens[spec.method] if price else None
        counted = f"{tokens:,} tokens by the base model's tokenizer, {spec.optimizer.epochs:g} times"
        basis = f"{counted}, at ${rate:g} a million ({price.date})" if price else f"{counted}; the price is not known"
        cost = None if rate is None else trained * rate / MILLION
        zero = {"seconds": 0.0, "load_seconds": 0.0, "peak_memory_bytes": 0, "disk_bytes": 0, "steps": 0}
        estimated = RunEstimate.model_validate({**zero, "tokens": trained, "basis": basis, "cost_usd": cost})
        return estimated, list(_check_cost(hosted, cost))


def _check_cost(hosted: HostedSpec, cost: float | None) -> Iterable[Finding]:
    if cost is None and PROVIDERS[hosted.provider].estimates:
        yield finding(
            "price-from-provider",
            f"{hosted.provider} says what the job costs once it has the rows; nothing is started if that is above the limit of "
            f"${hosted.spend_limit_usd:g}",
        )
    elif cost is None:
        yield finding(
            "price-unknown",
            f"what {hosted.provider} charges for {hosted.model} is not known, so the limit of ${hosted.spend_limit_usd:g} cannot "
            "be held: put its price into the file of BURNISH_TRAINER_PRICES, or accept price-unknown",
        )
    elif cost > hosted.spend_limit_usd:
        yield finding(
            "over-spend-limit",
            f"the job would cost about ${cost:,.2f} and its limit is ${hosted.spend_limit_usd:,.2f}: raise --spend-limit, or "
            "train on fewer rows or for fewer optimizer.epochs",
        )
