"""`burnish jobs watch` as a process: plain lines, JSON lines, Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from integration.client.homes import Home

from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1.trainer_pb2_grpc import TrainerServicer, add_TrainerServicer_to_server


class Trainer(TrainerServicer):
    """One job: `ends` succeeds after two steps, any other goes on for ever."""

    def WatchTuningJob(
        self, request: pb.WatchTuningJobRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.TuningJobEvent]:
        yield pb.TuningJobEvent(sequence=1, state_change=pb.TuningJob.STATE_RUNNING)
        for step in (1, 2):
            yield pb.TuningJobEvent(
                sequence=step + 1, metrics=pb.StepMetrics(step=step, total_steps=2, train_loss=1 / step)
            )
        if request.job_id == "ends":
            yield pb.TuningJobEvent(sequence=4, state_change=pb.TuningJob.STATE_SUCCEEDED)
            return
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait(60)

    def GetTuningJob(self, request: pb.GetTuningJobRequest, context: grpc.ServicerContext) -> pb.TuningJob:
        if request.job_id == "failed":
            status = status_pb2.Status(code=9, message="preflight refuses this job")
            status.details.add().Pack(error_details_pb2.ErrorInfo(reason="PRECONDITION", domain="burnish"))
            return pb.TuningJob(job_id="failed", state=pb.TuningJob.STATE_FAILED, error=status)
        adapter = pb.AdapterRef(name="fixes", version="1111")
        return pb.TuningJob(job_id=request.job_id, state=pb.TuningJob.STATE_SUCCEEDED, adapter=adapter)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4))
    add_TrainerServicer_to_server(Trainer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def variables(address: str) -> dict[str, str]:
    return {"BURNISH_TRAINER_ADDRESS": address, "BURNISH_TOKEN": "t"}


def test_plain_lines_on_stderr_and_the_outcome_on_stdout(tmp_path: Path, variables: dict[str, str]) -> None:
    done = Home(tmp_path / "home").burnish("jobs", "watch", "ends", **variables)
    assert done.returncode == 0
    lines = ["state running", "step 1/2  loss 1.0000", "step 2/2  loss 0.5000", "state succeeded"]
    assert done.stderr.splitlines()[:4] == lines
    assert "adapter fixes@1111" in done.stdout


def test_json_is_one_event_a_line(tmp_path: Path, variables: dict[str, str]) -> None:
    done = Home(tmp_path / "home").burnish("jobs", "watch", "ends", "--json", **variables)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["sequence"] for event in events] == ["1", "2", "3", "4"]
    assert events[0]["state_change"] == "STATE_RUNNING"
    assert events[2]["metrics"]["train_loss"] == 0.5


def test_a_failed_job_is_json_with_its_reason(tmp_path: Path, variables: dict[str, str]) -> None:
    """In a process of its own: whoever writes JSON has not necessarily met an error before."""
    done = Home(tmp_path / "home").burnish("jobs", "show", "failed", "--json", **variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["error"]["details"][0]["reason"] == "PRECONDITION"


def test_ctrl_c_leaves_the_job_and_says_how_to_watch_again(tmp_path: Path, variables: dict[str, str]) -> None:
    home = Home(tmp_path / "home")
    command = home.command("jobs", "watch", "goes-on")
    with subprocess.Popen(
        command, env=home.environment | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        while "step 2/2" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "goes-on continues" in told
    assert "burnish jobs watch goes-on" in told
    assert "Traceback" not in told
