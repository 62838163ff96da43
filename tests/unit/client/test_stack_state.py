"""stack.json: what it holds, who may read it, and what is said if it cannot be read."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from burnish.errors import CorruptDataError, PreconditionError
from burnish_client.stack import control
from burnish_client.stack.settings import StackSettings
from burnish_client.stack.state import PartStatus, ProcessIdentity, StackState, read, write


def identity(pid: int) -> ProcessIdentity:
    found = ProcessIdentity.of(pid)
    assert found is not None
    return found


def a_state(supervisor: ProcessIdentity, **changes: object) -> StackState:
    objectstore = PartStatus(name="objectstore", state="healthy", address="127.0.0.1:1", log="x.log", since=time.time())
    state = StackState(
        phase="running",
        supervisor=supervisor,
        base_model="model",
        parts=[objectstore],
        ports={"curator": 1},
        curator_url="http://127.0.0.1:1",
        trainer_address=None,
        inference_url=None,
        s3_endpoint="127.0.0.1:1",
        s3_access_key="access",
        s3_secret_key="hidden-key",
        token="hidden-token",
    )
    return state.model_copy(update=changes)


def test_the_file_is_for_its_owner_alone_and_comes_back_the_same(tmp_path: Path) -> None:
    state = a_state(identity(os.getpid()))
    write(tmp_path, state)
    assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
    assert read(tmp_path) == state
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_what_is_shown_has_no_secret() -> None:
    shown = str(a_state(identity(os.getpid())).public())
    assert "hidden" not in shown
    assert "127.0.0.1:1" in shown


def test_a_home_without_a_stack(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    assert control.status(tmp_path) is None
    assert control.down(tmp_path) is False


def test_a_file_that_cannot_be_read_is_named_with_its_field(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"phase": "dancing"}')
    with pytest.raises(CorruptDataError, match=r"stack\.json cannot be read \(phase"):
        read(tmp_path)


def test_a_stack_whose_supervisor_is_gone_is_told_as_stopped(tmp_path: Path) -> None:
    gone = identity(os.getpid()).model_copy(update={"start_ticks": 1})
    write(tmp_path, a_state(gone))
    state = control.status(tmp_path)
    assert state is not None
    assert (state.phase, state.parts[0].state) == ("stopped", "ended")
    assert not state.is_up


def test_set_up_that_is_not_done_is_told(tmp_path: Path) -> None:
    settings = StackSettings(home=tmp_path, base_model=tmp_path, inference_python=tmp_path / "python")
    with pytest.raises(PreconditionError, match="run `make setup`"):
        settings.check(with_inference=False)
    (tmp_path / "burnish-model.json").write_text("{}")
    settings.check(with_inference=False)
    with pytest.raises(PreconditionError, match="--without inference"):
        settings.check(with_inference=True)


@pytest.mark.parametrize("is_own", [False, True])
def test_a_start_that_ends_kills_its_own_stack_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_own: bool
) -> None:
    """Between the end of its supervisor and its own, another `burnish up` may have started a stack in the home."""
    started = subprocess.Popen(["sleep", "60"], start_new_session=True)
    monkeypatch.setattr(control, "END_LIMIT_SECONDS", 0.1)
    launch = control.Launch(StackSettings(home=tmp_path))
    launch._process = started if is_own else subprocess.Popen(["true"])
    write(tmp_path, a_state(identity(started.pid)))
    launch.__exit__()
    try:
        assert (started.poll() is None) is not is_own
    finally:
        started.kill()
        started.wait()
