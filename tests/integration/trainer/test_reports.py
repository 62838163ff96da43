"""Reports by the trackers' real packages, each in a process of its own: what arrives, what a second attempt adds, what a dead one costs."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("report_run.py")
JOB = "job-00000000000000aa"


def run(tracker: str, folder: Path, *attempts: str, close_seconds: float = 60, **environment: str) -> dict[str, Any]:
    """What the script printed, and `seconds`: from its answer to the process's end."""
    command = [sys.executable, str(SCRIPT), tracker, str(folder), str(close_seconds), *attempts]
    process = subprocess.Popen(
        command, env=os.environ | environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    line = next((line for line in process.stdout if line.startswith('{"notes"')), "")
    told = time.monotonic()
    _, log = process.communicate(timeout=120)
    assert line, log
    answer: dict[str, Any] = json.loads(line)
    return answer | {"exit_seconds": time.monotonic() - told}


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_mlflow_has_one_run_with_the_steps_of_both_attempts(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    told = run("mlflow", tmp_path, "1-3", "3-5", MLFLOW_TRACKING_URI=f"sqlite:///{database}")
    assert told["notes"] == []
    assert query(database, "SELECT name, status FROM runs") == [(JOB, "FINISHED")]
    assert query(database, "SELECT name FROM experiments WHERE name != 'Default'") == [("colours-project",)]
    steps = query(database, "SELECT DISTINCT step FROM metrics WHERE key = 'loss' ORDER BY step")
    assert [step for (step,) in steps] == [1, 2, 3, 4, 5]
    assert query(database, "SELECT value FROM metrics WHERE key = 'loss' AND step = 4") == [(0.25,)]


def test_trackio_has_one_run_with_the_steps_of_both_attempts(tmp_path: Path) -> None:
    told = run("trackio", tmp_path, "1-3", "4-5", TRACKIO_DIR=str(tmp_path))
    assert told["notes"] == []
    [database] = tmp_path.glob("*.db")
    rows = query(database, "SELECT run_name, metrics FROM metrics ORDER BY id")
    assert {name for name, _ in rows} == {JOB}
    assert [json.loads(metrics)["train/global_step"] for _, metrics in rows] == [1, 2, 3, 4, 5]


def test_wandb_records_offline_under_the_job_id(tmp_path: Path) -> None:
    told = run("wandb", tmp_path, "1-3", WANDB_MODE="offline", WANDB_DIR=str(tmp_path), WANDB_SILENT="true")
    assert told["notes"] == []
    [record] = tmp_path.glob(f"wandb/offline-run-*/run-{JOB}.wandb")
    data = record.read_bytes()
    assert b"train/global_step" in data
    assert b"colours-project" in data


def test_a_tracker_that_is_not_there_is_said_once_and_costs_the_loop_nothing(tmp_path: Path) -> None:
    told = run(
        "mlflow",
        tmp_path,
        "1-200",
        MLFLOW_TRACKING_URI="http://127.0.0.1:9",
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )
    [note] = told["notes"]
    assert note.startswith("report to mlflow failed (MlflowException: ")
    assert note.endswith("the training goes on without it")
    assert told["loop"][0] < 1


@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_a_tracker_that_never_answers_is_left_behind(tmp_path: Path, tracker: str) -> None:
    """A socket that takes connections and says nothing; the process must end all the same."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        told = run(
            tracker,
            tmp_path,
            "1-200",
            close_seconds=2,
            MLFLOW_TRACKING_URI=url,
            WANDB_BASE_URL=url,
            WANDB_API_KEY="0" * 40,
            WANDB_DIR=str(tmp_path),
        )
    [note] = told["notes"]
    assert note == (
        f"report to {tracker} had not taken everything 2 s after the end and was left behind; the training goes on without it"
    )
    assert told["loop"][0] < 1
    assert told["close"][0] < 5
    assert told["exit_seconds"] < 20
