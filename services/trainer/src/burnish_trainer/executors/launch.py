"""How an attempt's processes are started on its devices: one process by itself, several by `accelerate launch`.

The only file that knows the launcher. No torch here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from burnish.machine.gpus import VISIBLE
from burnish.schemas.training.hosted import VARIABLES

WORKER_MODULE = "burnish_trainer.worker.main"
WORKER = (sys.executable, "-m", WORKER_MODULE)
HOSTED_MODULE = "burnish_trainer.hosted.main"


def command(worker: Sequence[str], folder: Path, devices: Sequence[str]) -> list[str]:
    """Of one worker, or of a launcher that starts one per device; they find each other on a free port of this host."""
    if len(devices) == 1:
        return [*worker, str(folder)]
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    count = ["--num_processes", str(len(devices)), "--main_process_port", "0"]
    plain = ["--mixed_precision", "no", "--dynamo_backend", "no"]  # the training arguments decide
    return [*launcher, *count, *plain, "-m", WORKER_MODULE, str(folder)]


def device_environment(devices: Sequence[str], uuids: Sequence[str]) -> dict[str, str]:
    """Variables that show an attempt only its own devices, which it sees as cuda:0, cuda:1, ….

    uuids: of this trainer's GPUs, of which "cuda:0" is the first. A UUID names one GPU whatever its number is elsewhere.
    """
    return {VISIBLE: ",".join(uuids[int(name.removeprefix("cuda:"))] for name in devices if name.startswith("cuda"))}


def rank_and_world_size(environment: Mapping[str, str]) -> tuple[int, int]:
    """(this process's number, how many train the job), as the launcher sets them."""
    return int(environment.get("RANK", 0)), int(environment.get("WORLD_SIZE", 1))


def base_environment() -> dict[str, str]:
    """This process's environment without the callers' token and the providers' credentials, and quiet, offline model libraries."""
    secret = {"BURNISH_TOKEN", *VARIABLES}
    inherited = {name: value for name, value in os.environ.items() if name not in secret}
    return inherited | {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TQDM_DISABLE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads starve the step itself if cores are shared
        "PYTHONUNBUFFERED": "1",
        # A CPU's matrix products are compiled for each number of tokens and kept, 1024 of them: more than a gigabyte of what
        # is not used again, since steps differ in length. One step needs a few dozen.
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
        "LRU_CACHE_CAPACITY": "128",  # torch's own cache in front of it
        # torch.cuda.is_available(), which libraries call on import, must not start CUDA before devices are granted
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    }
