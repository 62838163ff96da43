"""What the fakes of all providers have alike: files, jobs and knobs, and which method answers which request."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hosted_fakes.server import Reply, Request

Route = tuple[str, str, Callable[..., Reply]]  # method, pattern of the whole path, what answers it and gets the groups
PAGE = 2  # of those that page by token


class FakeTuning:
    """A provider with nothing in it. A job goes one state further with each look at it, through `states`, one of which no client knows.

    paid: ids of the jobs that were taken, each of which costs money. clock: seconds that its clock is ahead. ends_as: how jobs
    end; holds_at: the state in which they stay. keeps_own_id: of a job, as its creator gave it. running_state and unknown_state
    are two of `states`; failure: what it says of a job that failed; steps: that it shows the loss of; open_paths: that take no token.
    create, search, look, cancel, upload, file and weights: patterns of the names of requests; weights is empty if it gives none.
    """

    provider: str
    model: str
    create: str
    search: str
    look: str
    cancel: str
    upload: str
    file: str
    weights = ""
    state_field = "status"
    states: Sequence[str]
    ends: dict[str, str]  # ends_as -> its word
    running_state: str
    unknown_state: str
    pair = b"non_preferred_output"
    failure = "line 3: no role"
    steps: tuple[int, ...] = ()
    open_paths: tuple[str, ...] = ()

    def __init__(self, token: str = "", clock: float = 0.0) -> None:
        self.token = token or f"{self.provider}-secret"
        self.clock = clock
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.paid: list[str] = []
        self.ends_as = "succeeded"
        self.holds_at = ""
        self.keeps_own_id = True
        self._numbers = 0

    @property
    def running(self) -> list[str]:
        """Ids of the jobs that have not ended."""
        return [job_id for job_id in self.jobs if not self.has_ended(job_id)]

    def has_ended(self, job_id: str) -> bool:
        return self.jobs[job_id][self.state_field] in self.ends.values()

    def routes(self) -> Iterable[Route]:
        raise NotImplementedError

    def answer(self, request: Request) -> Reply:
        for method, pattern, answer in self.routes():
            match = re.fullmatch(pattern, request.path)
            if request.method == method and match:
                return answer(request, *match.groups())
        return Reply(404, self.error(f"Invalid URL ({request.name})", "unknown_url"))

    @staticmethod
    def error(message: str, code: str | None = None) -> dict[str, Any]:
        return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}

    def take(self, job_id: str, job: dict[str, Any]) -> None:
        """A new job, which costs money from now on."""
        self.jobs[job_id] = job | {self.state_field: self.states[0]}
        self.paid.append(job_id)

    def look_at(self, job_id: str) -> bool:
        """One state further, unless the job has ended or is held; whether it has ended by this look."""
        job = self.jobs[job_id]
        state = job[self.state_field]
        if self.has_ended(job_id) or state == self.holds_at:
            return False
        job[self.state_field] = self.states[self.states.index(state) + 1]
        if job[self.state_field] != self.states[-1]:
            return False
        job[self.state_field] = self.ends[self.ends_as]
        return True

    def new_id(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}-{self._numbers:06d}"

    def now(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.clock))


def copied(body: dict[str, Any]) -> dict[str, Any]:
    """As it is now: the fake may change it before it is sent."""
    found: dict[str, Any] = json.loads(json.dumps(body))
    return found


def token_page(every: Sequence[dict[str, Any]], name: str, request: Request) -> Reply:
    """A page as Google's kind of list has it."""
    start = int(request.query.get("pageToken", 0))
    more = {"nextPageToken": str(start + PAGE)} if start + PAGE < len(every) else {}
    return Reply(200, {name: every[start : start + PAGE], **more})
