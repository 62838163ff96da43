"""One small job at a real provider, which costs money: `BURNISH_TEST_ON=openai:MODEL BURNISH_TEST_SPEND_LIMIT=1 pytest tests/hosted -s`.

The provider's own variables (OPENAI_API_KEY, OPENAI_BASE_URL) say which account and server. BURNISH_TRAINER_PRICES has the price, which is
said before anything is sent; without one the test does not start, unless the provider itself says the price. Everything but the tuned model is removed again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from unit.trainer.made import job_spec, put_dataset, sft_rows

from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.training.hosted import HostedSpec, read_place
from burnish.schemas.training.job import JobSpec
from burnish_trainer.artifacts.adapters import CONFIG, WEIGHTS
from burnish_trainer.executors.events import Event, Metrics, Succeeded
from burnish_trainer.hosted.provider import Provider
from burnish_trainer.hosted.providers import connect
from burnish_trainer.hosted.record import Record, RecordFile, first_record
from burnish_trainer.hosted.rows import RowFiles
from burnish_trainer.hosted.run import HostedRun, Outside, Pace
from burnish_trainer.preflight.prices import PriceTable

PLACE, LIMIT = os.environ.get("BURNISH_TEST_ON", ""), os.environ.get("BURNISH_TEST_SPEND_LIMIT", "")
ROWS, TOKENS_A_ROW = 12, 60
SECONDS = 4 * 3600
LARGEST_ADAPTER_BYTES = 10_000_000_000

pytestmark = [
    pytest.mark.skipif(not (PLACE and LIMIT), reason="BURNISH_TEST_ON and BURNISH_TEST_SPEND_LIMIT are not set"),
    pytest.mark.timeout(SECONDS),
]


@pytest.fixture
def hosted() -> HostedSpec:
    place = read_place(PLACE)
    assert place is not None, "a provider, not local"
    return HostedSpec(provider=place[0], model=place[1], spend_limit_usd=float(LIMIT))


@pytest.fixture
def provider(hosted: HostedSpec) -> Iterator[Provider]:
    with contextlib.closing(connect(hosted.provider, os.environ)) as provider:
        yield provider


def check_price(hosted: HostedSpec, spec: JobSpec) -> None:
    path = os.environ.get("BURNISH_TRAINER_PRICES")
    estimated, findings = PriceTable.read(Path(path) if path else None).estimate(hosted, spec, ROWS * TOKENS_A_ROW)
    print(f"\n{hosted.provider}:{hosted.model} would cost {estimated.cost_usd} USD: {estimated.basis}")
    if refused := [finding for finding in findings if finding.severity == "refusal"]:
        pytest.fail(refused[0].message)


def test_a_job_is_trained_and_nothing_is_left(hosted: HostedSpec, provider: Provider, tmp_path: Path) -> None:
    store, job_id = MemoryObjectStore(), f"job-test-{int(time.time())}"
    dataset = put_dataset(store, sft_rows(ROWS))
    spec = job_spec(dataset, hosted=hosted.model_dump(), optimizer={"epochs": 1})
    check_price(hosted, spec)
    rows = RowFiles(store, spec, hosted, tmp_path)

    def say(event: Event) -> None:
        print(event.model_dump_json(exclude_none=True))

    def begin() -> Any:
        return first_record(job_id, provider.name, provider.endpoint, rows.request(provider), datetime.now(UTC))

    pace = Pace(poll_seconds=5, longest_poll_seconds=60, settle_seconds=10)

    def adopt(record: Record, metrics: Sequence[Metrics]) -> None:
        folder = tmp_path / "adapter"
        folder.mkdir()
        assert provider.fetch(record, folder, LARGEST_ADAPTER_BYTES)
        print(
            f"{len(metrics)} steps, weights of {(folder / WEIGHTS).stat().st_size} bytes, {(folder / CONFIG).read_text()}"
        )

    outside = Outside(begin, rows.of, adopt, say, time.sleep, lambda _phase: None, pace, hosted.spend_limit_usd)
    try:
        final = HostedRun(provider, RecordFile(store, job_id), outside).to("train")
    finally:
        HostedRun(provider, RecordFile(store, job_id), outside).to("release")
    assert isinstance(final, Succeeded)
    assert final.remote_model is not None
    print(final.remote_model.model)
    assert provider.uploads(job_id) == {}
