"""What no client sends, to every route: each is answered as the caller's mistake, and nothing in the log is a defect.

The calls are those of the hostile round (tests/hostile), against a curator alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hostile.curator_calls import CuratorCalls
from hostile.inference_calls import http_tricks
from hostile.sending import Call, send
from integration.curator.process import TOKEN, CuratorProcess
from route_listing import never_called

from burnish.curation.lengths import CharacterLengths
from burnish.objectstores.memory import MemoryObjectStore
from burnish_curator.app import Deps, create_app
from burnish_curator.database import open_database


@pytest.fixture(scope="module")
def calls(curator: CuratorProcess) -> CuratorCalls:
    with curator.client() as client:
        return CuratorCalls(client, TOKEN)


def faults(curator: CuratorProcess, calls: Iterable[Call]) -> list[str]:
    """What was answered with a 500, not at all, or to somebody without access."""
    address = urlsplit(curator.url)
    assert address.hostname
    assert address.port
    found = []
    for call in calls:
        answer = send((address.hostname, address.port), call.encoded(TOKEN, address.netloc))
        let_in = not call.allowed and 200 <= answer.status < 400
        unanswered = call.well_formed and not answer.status
        if answer.status >= 500 or let_in or unanswered:
            found.append(f"{call.method} {call.target[:200]} {call.body[:200]!r}: {answer.content[:300]!r}")
    return found


def test_every_route_is_called_and_tried_without_access(
    calls: CuratorCalls, tmp_path: Path, memory_store: MemoryObjectStore
) -> None:
    """A route that comes later gets its calls from the schema; one that is not in it has to get them in tests/hostile."""
    database = open_database(f"sqlite:///{tmp_path / 'curator.db'}")
    app = create_app(Deps(memory_store, database, tmp_path, TOKEN, CharacterLengths()))
    database.dispose()
    table = list(calls.table())
    assert never_called(app, [(call.method, call.target) for call in table if call.allowed]) == []
    open_to_all = never_called(app, [(call.method, call.target) for call in table if not call.allowed])
    assert open_to_all == ["GET /healthz", "GET /readyz"]


def test_hostile_calls_of_the_table(curator: CuratorProcess, calls: CuratorCalls) -> None:
    """One in three, for the time that they take: `make hostile` sends them all."""
    table = list(calls.table())
    assert len(table) > 4000
    assert faults(curator, table[::3]) == []


def test_calls_that_hypothesis_makes(curator: CuratorProcess, calls: CuratorCalls) -> None:
    assert faults(curator, calls.made(200, seed=1)) == []


def test_http_that_is_wrong(curator: CuratorProcess) -> None:
    assert faults(curator, http_tricks("curator", "/v1/runlogs")) == []


def test_nothing_of_that_was_a_defect(curator: CuratorProcess) -> None:
    assert [line[:3000] for line in curator.log().splitlines() if "Traceback" in line] == []
    with curator.client() as client:
        assert client.get("/readyz").status_code == 200
