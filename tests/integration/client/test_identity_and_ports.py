"""Processes that are known by more than their number, and ports that are free, with real processes and sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from unit.client.test_stack_state import a_state, identity

from burnish_client.stack import control
from burnish_client.stack.parts import pick_ports
from burnish_client.stack.state import ProcessIdentity, write


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
