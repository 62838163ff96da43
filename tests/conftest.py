"""What the tests of every room share, and which of them run one after another when workers run side by side.

Shared by a whole session: `whole_stack` (all four parts, vLLM with SmolLM2 included), `seaweed` (an S3 server; one a worker),
`base_model_dir`. A test takes names of its own in them and leaves them as they were.

Side by side: a group of tests goes to one worker, in order. The folders that use the stack are a group, so are the files of
tests/integration/trainer that start a trainer process, and otherwise each file is one. Long groups are given out first, so that no worker is left with one.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from whole_stack import WholeStack, running

from burnish.objectstores.memory import MemoryObjectStore
from burnish.objectstores.s3 import S3ObjectStore
from burnish.testing import Seaweed, running_seaweed

TESTS = Path(__file__).resolve().parent
REPOSITORY = TESTS.parent
STACK, TRAINER = "stack", "trainer"
USE_THE_STACK = (
    "e2e/",
    "integration/inference/",
    *(
        f"integration/client/test_{name}"
        for name in ("command_loop", "eval_command", "hosted_loop", "training_commands", "tuning_commands")
    ),
)
SLOWEST = 20
STACK_TEST_SECONDS = 1500  # the first test of the stack waits for its start and for the whole walk-through
# Groups in the order in which they are given out; a file goes by the folder that stands first here.
ORDER = (STACK, TRAINER, "integration/trainer", "integration", "browser", "contract", "")


def group_of(nodeid: str) -> str:
    """The group that a test belongs to, by its file."""
    file = nodeid.partition("::")[0].removeprefix("tests/").removesuffix(".py")
    if file.startswith(USE_THE_STACK):
        return STACK
    if file.startswith("integration/trainer/test_"):
        return TRAINER
    return "browser" if file.startswith("browser/") else file


def place_of(item: pytest.Item) -> tuple[int, bool]:
    """Sorts tests: by the order of their groups, and within the stack's group those that end it last."""
    group = group_of(item.nodeid)
    return next(n for n, prefix in enumerate(ORDER) if group.startswith(prefix)), "ends_the_stack" in item.keywords


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=place_of)
    for item in items:
        uses_it = "whole_stack" in getattr(item, "fixturenames", ())
        if uses_it and group_of(item.nodeid) != STACK:
            raise pytest.UsageError(f"{item.nodeid} uses the stack of the session: add its file to USE_THE_STACK")
        if uses_it and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(STACK_TEST_SECONDS))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker a group. xdist's own loadgroup leaves the tests of a group apart under pytest 9.2: it renames items in vain."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The slowest tests, each with what it set up and ended, of a run that has more than those."""
    seconds: Counter[str] = Counter()
    for report in chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            seconds[report.nodeid] += report.duration
    if len(seconds) > SLOWEST:
        terminalreporter.section(f"slowest {SLOWEST} tests")
        for nodeid, took in seconds.most_common(SLOWEST):
            terminalreporter.write_line(f"{took:6.1f} s  {nodeid.removeprefix('tests/')}")


@pytest.fixture(scope="session", autouse=True)
def nobody_logged_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The login of whoever runs the tests has no part in them, nor have the commands that they start."""
    before = os.environ.get("XDG_CONFIG_HOME")
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
    yield
    if before is None:
        del os.environ["XDG_CONFIG_HOME"]
    else:
        os.environ["XDG_CONFIG_HOME"] = before


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A real server on free loopback ports over a temporary folder, ended with the session."""
    with running_seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
def s3_store(seaweed: Seaweed) -> Iterator[S3ObjectStore]:
    """A store over a bucket of its own on the real server, which is removed afterwards: each takes a volume of a gigabyte's place."""
    store = seaweed.store(f"test-{uuid.uuid4().hex[:16]}")
    store.ensure_bucket()
    yield store
    seaweed.remove_bucket(store.bucket)


@pytest.fixture
def memory_store() -> MemoryObjectStore:
    return MemoryObjectStore()


@pytest.fixture(scope="session")
def base_model_dir() -> Path:
    """SmolLM2-135M-Instruct as a Hugging Face folder, made by `make setup`; another by BURNISH_BASE_MODEL."""
    folder = Path(os.environ.get("BURNISH_BASE_MODEL", REPOSITORY / ".cache/models/smollm2-135m-instruct"))
    if not (folder / "burnish-model.json").is_file():
        pytest.fail(f"no base model at {folder}: run `make setup`, or set BURNISH_BASE_MODEL to a model folder")
    return folder


@pytest.fixture(scope="session")
def whole_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeStack]:
    """The one stack of the session, all four parts of it."""
    with running(tmp_path_factory.mktemp("whole-stack")) as stack:
        yield stack


@pytest.fixture(autouse=True)
def the_stack_stays_whole(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that leaves the stack broken fails itself, not the test after it."""
    if "whole_stack" not in request.fixturenames or "ends_the_stack" in request.keywords:
        yield
        return
    stack: WholeStack = request.getfixturevalue("whole_stack")
    restarts = stack.restarts()
    yield
    assert stack.faults() == [], f"{request.node.name} left the stack broken"
    assert stack.restarts() == restarts, f"{request.node.name} made a part of the stack crash"
