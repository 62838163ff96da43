"""stack.json, process identity, and the picking of ports."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from burnish.errors import CorruptDataError, PreconditionError
from burnish_client.stack import control
from burnish_client.stack.parts import pick_ports
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


def test_a_process_is_known_by_more_than_its_number() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    first = identity(process.pid)
    assert first.is_alive()
    assert not first.model_copy(update={"start_ticks": first.start_ticks - 1}).is_alive()
    assert not first.model_copy(update={"boot_id": "another"}).is_alive()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not first.is_alive(), "a zombie does not run"
    process.communicate()
    assert ProcessIdentity.of(process.pid) is None


def test_a_reused_pid_is_left_alone_by_down(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as stranger:
        earlier = identity(stranger.pid).model_copy(update={"start_ticks": 1})
        part = a_state(earlier).parts[0].model_copy(update={"process": earlier})
        write(tmp_path, a_state(earlier, parts=[part]))
        assert control.down(tmp_path) is False
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_a_stack_whose_supervisor_is_gone_is_told_as_stopped(tmp_path: Path) -> None:
    gone = identity(os.getpid()).model_copy(update={"start_ticks": 1})
    write(tmp_path, a_state(gone))
    state = control.status(tmp_path)
    assert state is not None
    assert (state.phase, state.parts[0].state) == ("stopped", "ended")
    assert not state.is_up


def test_ports_are_kept_where_free_replaced_where_taken_and_all_differ() -> None:
    first = pick_ports(["a", "b", "c"], {})
    assert len(set(first.values())) == 3
    with socket.create_server(("127.0.0.1", first["b"])):
        again = pick_ports(["a", "b", "c"], first)
    assert (again["a"], again["c"]) == (first["a"], first["c"])
    assert again["b"] not in first.values()


def test_two_names_that_prefer_one_port_do_not_get_it_both() -> None:
    port = pick_ports(["a"], {})["a"]
    picked = pick_ports(["a", "b"], {"a": port, "b": port})
    assert picked["a"] == port
    assert picked["b"] != port


def test_set_up_that_is_not_done_is_told(tmp_path: Path) -> None:
    settings = StackSettings(home=tmp_path, base_model=tmp_path, inference_python=tmp_path / "python")
    with pytest.raises(PreconditionError, match="run `make setup`"):
        settings.check(with_inference=False)
    (tmp_path / "burnish-model.json").write_text("{}")
    settings.check(with_inference=False)
    with pytest.raises(PreconditionError, match="--without inference"):
        settings.check(with_inference=True)
