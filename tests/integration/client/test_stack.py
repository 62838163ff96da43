"""The embedded stack with its real parts: found again, repaired, and ended without a trace, however it dies."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from integration.client.homes import Home, until

from burnish.objectstores.seaweedfs import SOCKETS
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.trainer import TrainerClient

STORE_ONLY = ("--without", "curator", "--without", "trainer", "--without", "inference")


def test_a_second_up_finds_the_first(running_home: Home) -> None:
    first = running_home.state()["supervisor"]
    second = running_home.burnish("up", "--without", "inference")
    assert second.returncode == 0
    assert "was up already" in second.stdout
    assert running_home.state()["supervisor"] == first
    assert all(len(line) <= 80 for line in second.stdout.splitlines() if "127.0.0.1" in line)


def test_an_up_that_wants_more_parts_says_what_to_do(running_home: Home) -> None:
    done = running_home.burnish("up")
    assert done.returncode == 1
    assert "runs without inference: `burnish down`, then `burnish up`" in done.stderr


def test_status_as_json_has_every_part_and_no_secret(running_home: Home) -> None:
    state = running_home.json("status")
    assert state["phase"] == "running"
    assert {part["name"]: part["state"] for part in state["parts"]} == {
        "objectstore": "healthy",
        "curator": "healthy",
        "trainer": "healthy",
    }
    assert running_home.state()["token"] not in str(state)
    assert running_home.state()["s3_secret_key"] not in str(state)


def test_the_state_folder_is_closed_to_others(running_home: Home) -> None:
    assert stat.S_IMODE((running_home.path / "stack.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(running_home.path.stat().st_mode) == 0o700


def test_clients_find_the_services_by_the_state_folder(running_home: Home) -> None:
    with (
        CuratorClient.from_settings(running_home.settings()) as curator,
        TrainerClient.from_settings(running_home.settings()) as trainer,
    ):
        curator.check_access()
        assert curator.run_logs() == []
        assert trainer.list_jobs() == []


def test_a_killed_part_comes_back_at_its_address(running_home: Home) -> None:
    before = running_home.part("curator")
    os.kill(before["process"]["pid"], signal.SIGKILL)
    until(lambda: running_home.part("curator")["restarts"] == 1 and running_home.part("curator")["state"] == "healthy")
    after = running_home.part("curator")
    assert after["address"] == before["address"]
    assert after["process"]["pid"] != before["process"]["pid"]
    with CuratorClient.from_settings(running_home.settings()) as curator:
        curator.check_access()
    supervisor = psutil.Process(running_home.state()["supervisor"]["pid"])
    kinds = {process.status() for process in supervisor.children(recursive=True)}
    assert psutil.STATUS_ZOMBIE not in kinds


def test_a_killed_supervisor_leaves_no_process_and_up_works_again_with_the_same_data(
    running_home: Home, tmp_path: Path
) -> None:
    log = tmp_path / "kept.jsonl"
    log.write_text('{"question_id": "q", "question": "?", "answer": "a", "retrieval_hit": true, "grade": "correct"}\n')
    assert running_home.burnish("runs", "import", str(log)).returncode == 0
    before = running_home.state()
    os.kill(before["supervisor"]["pid"], signal.SIGKILL)
    until(lambda: not running_home.processes())
    assert running_home.burnish("status").returncode == 1

    again = running_home.burnish("up", "--without", "inference")
    assert again.returncode == 0, again.stderr
    after = running_home.state()
    assert {name: after[name] for name in ("curator_url", "trainer_address", "token", "ports")} == {
        name: before[name] for name in ("curator_url", "trainer_address", "token", "ports")
    }
    with CuratorClient.from_settings(running_home.settings()) as curator:
        assert [manifest.name for manifest in curator.run_logs()] == ["kept"]


def test_down_ends_everything_and_keeps_the_state(running_home: Home) -> None:
    ports = running_home.state()["ports"].values()
    done = running_home.burnish("down")
    assert done.returncode == 0
    assert "has ended" in done.stdout
    assert running_home.processes() == []
    assert [path for port in ports for path in SOCKETS.glob(f"seaweedfs-*-{port}.sock")] == []
    assert running_home.state()["phase"] == "stopped"
    assert (running_home.path / "data" / "objectstore").is_dir()
    assert running_home.burnish("down").stdout.startswith("no stack runs")


def test_two_ups_at_once_start_one_stack(home: Home) -> None:
    racers = [home.start("up", *STORE_ONLY) for _ in range(2)]
    texts = [racer.communicate(timeout=60)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], texts
    supervisors = [line for line in home.processes() if "stack.supervisor" in line]
    assert len(supervisors) == 1
    assert sum("was up already" in text for text in texts) == 1


def test_an_up_that_fails_leaves_the_stack_that_another_one_started(home: Home) -> None:
    """It is asleep while its supervisor dies and another `up` starts a stack in the same home."""
    with home.start("up", "--without", "inference") as failing:
        until(lambda: home.state().get("parts", []))
        failing.send_signal(signal.SIGSTOP)
        os.kill(home.state()["supervisor"]["pid"], signal.SIGKILL)
        other = home.burnish("up", *STORE_ONLY)
        assert other.returncode == 0, other.stderr
        failing.send_signal(signal.SIGCONT)
        failing.communicate(timeout=60)
    assert failing.returncode == 1
    assert [part["state"] for part in home.json("status")["parts"]] == ["healthy"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_up_leaves_nothing(home: Home, number: signal.Signals) -> None:
    """Also when it is killed: the supervisor sees its lifeline end."""
    with home.start("up", "--without", "inference") as process:
        until(lambda: any(part["state"] == "starting" for part in home.state().get("parts", [])[1:]))
        process.send_signal(number)
        process.communicate(timeout=60)
    if number is signal.SIGKILL:
        until(lambda: not home.processes())
    assert home.processes() == []
    assert process.returncode == (-signal.SIGKILL if number is signal.SIGKILL else 130)


def test_ctrl_c_ends_a_stack_in_the_foreground(home: Home) -> None:
    with home.start("up", "--foreground", *STORE_ONLY) as process:
        until(lambda: home.state().get("phase") == "running")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert home.processes() == []


def test_down_ends_a_stack_in_the_foreground_of_another_terminal(home: Home) -> None:
    with home.start("up", "--foreground", *STORE_ONLY) as process:
        until(lambda: home.state().get("phase") == "running")
        assert home.burnish("down").returncode == 0
        assert process.wait(timeout=30) == 0
        process.communicate()


def test_a_part_that_does_not_start_is_told_with_its_log_and_everything_is_ended(home: Home, tmp_path: Path) -> None:
    """The setting for the Python with vLLM names a program that cannot run the part."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho this is no environment with vLLM\nexit 7\n")
    python.chmod(0o755)
    done = home.burnish("up", "--without", "curator", "--without", "trainer", BURNISH_INFERENCE_PYTHON=str(python))
    assert done.returncode == 1
    assert "error: inference: ended while starting, exit code 7" in done.stderr
    assert "this is no environment with vLLM" in done.stderr
    assert "burnish up --without inference" in done.stderr
    assert home.processes() == []
    assert '"phase": "failed"' in home.burnish("status", "--json").stdout


def test_a_supervisor_that_hangs_is_killed_by_down_with_all_its_parts(home: Home) -> None:
    assert home.burnish("up", *STORE_ONLY).returncode == 0
    os.kill(home.state()["supervisor"]["pid"], signal.SIGSTOP)
    code = f"from pathlib import Path; from burnish_client.stack import control; print(control.down(Path({str(home.path)!r}), timeout_seconds=0.5))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "True"
    until(lambda: not home.processes(), 5)
