"""`python -m hosted_fakes PORT TOKEN`: OpenAI's tuning API for one key on every address of this machine, until the process is ended."""

from __future__ import annotations

import signal
import sys

from hosted_fakes.openai_tuning import OpenAITuning
from hosted_fakes.server import FakeServer

if __name__ == "__main__":
    FakeServer(OpenAITuning(sys.argv[2]), address=("0.0.0.0", int(sys.argv[1])))
    signal.pause()
