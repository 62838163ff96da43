"""The supervisor process of the embedded stack: `python -m burnish_client.stack.supervisor HOME [--without PART]… [--new-secrets]`.

Started by `control.Launch` in a session of its own with a pipe as stdin, the lifeline: until the launcher has written
`detach` to it, any end of the launcher ends the stack. SIGTERM ends the stack. Exit codes: 0 ended, FAILED, LOCKED_EXIT_CODE.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from burnish.errors import BurnishError, UnavailableError
from burnish.objectstores import seaweedfs
from burnish.schemas.models import read_record
from burnish_client.config.endpoints import STATE_FILE
from burnish_client.stack import processes
from burnish_client.stack.control import DETACH, LOCKED_EXIT_CODE
from burnish_client.stack.keeper import Keeper
from burnish_client.stack.parts import Layout, Part, make_layout, make_parts
from burnish_client.stack.settings import StackSettings
from burnish_client.stack.state import (
    PART_NAMES,
    PartName,
    PartState,
    PartStatus,
    Phase,
    ProcessIdentity,
    StackState,
    read,
    write,
)

LOCK_FILE = "stack.lock"
FAILED = 1
LOCK_WAIT_SECONDS = 0.5

log = logging.getLogger("burnish.supervisor")


def hold_lock(home: Path) -> IO[bytes] | None:
    """The home's lock, held as long as the file is open (the kernel frees it at any death). None if another process holds it."""
    handle = (home / LOCK_FILE).open("ab")
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            if time.monotonic() > deadline:
                handle.close()
                return None
        time.sleep(0.05)


class Supervisor:
    """Starts the parts (object store first, the others together), keeps them, and ends them all."""

    def __init__(self, base_model: str, layout: Layout, parts: Sequence[Part]) -> None:
        """parts: in the order in which they start, the object store first."""
        self._base_model = base_model
        self._layout = layout
        self._phase: Phase = "starting"
        self._logged: dict[PartName, PartState] = {}
        self._stop = asyncio.Event()
        self._keepers = [Keeper(part, layout.home, self._on_change, self._clean) for part in parts]
        identity = ProcessIdentity.of(os.getpid())
        assert identity is not None
        self._identity = identity

    async def run(self) -> int:
        """Run until stopped. Returns the exit code."""
        self._listen()
        self._save()
        try:
            work = asyncio.create_task(self._start_and_keep())
            stop = asyncio.create_task(self._stop.wait())
            done, _ = await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            failed = work in done and not work.result()
            for task in (work, stop):
                task.cancel()
            await asyncio.gather(work, stop, return_exceptions=True)
        finally:
            await self._end_all(failed_start=self._phase == "failed")
        return FAILED if failed else 0

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_reader(sys.stdin.fileno(), self._on_lifeline)

    def _on_lifeline(self) -> None:
        """Bytes mean detach. The end of the pipe without them means that the launcher died."""
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        if not os.read(sys.stdin.fileno(), len(DETACH)):
            log.info("the process that started the stack is gone: ending")
            self._stop.set()

    async def _start_and_keep(self) -> bool:
        """False if a part did not start; else keeps all parts and never returns."""
        first, rest = self._keepers[:1], self._keepers[1:]
        if not (await self._start(first) and await self._start(rest)):
            return False
        self._phase = "running"
        self._save()
        log.info("all parts are healthy")
        await asyncio.gather(*(keeper.keep() for keeper in self._keepers))
        await asyncio.Event().wait()
        return True

    async def _start(self, keepers: list[Keeper]) -> bool:
        """Start these together. False, with the others cancelled, as soon as one does not start."""
        tasks = [asyncio.create_task(self._start_one(keeper)) for keeper in keepers]
        try:
            for done in asyncio.as_completed(tasks):
                if not await done:
                    return False
            return True
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _start_one(self, keeper: Keeper) -> bool:
        try:
            await keeper.start()
        except (UnavailableError, OSError) as error:
            self._phase = "failed"
            keeper.fail(str(error))
            return False
        return True

    async def _end_all(self, *, failed_start: bool) -> None:
        """End the services first, so that they can still write; then the object store; then whatever any of them left."""
        if not failed_start:
            self._phase = "stopping"
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers[1:]))
        await self._keepers[0].stop()
        processes.end_adopted(())
        seaweedfs.remove_sockets(self._layout.ports.values())
        if not failed_start:
            self._phase = "stopped"
        self._save()
        log.info("ended")

    async def _clean(self) -> None:
        """End what an ended part left behind. Waits for a part that is being spawned, since its pid is not known yet."""
        while any(keeper.is_spawning for keeper in self._keepers):
            await asyncio.sleep(0.01)
        processes.end_adopted(keeper.pid for keeper in self._keepers if keeper.pid)

    def _on_change(self, status: PartStatus) -> None:
        if self._logged.get(status.name) != status.state:
            self._logged[status.name] = status.state
            log.info("%s: %s%s", status.name, status.state, f" ({status.reason})" if status.reason else "")
        try:
            self._save()
        except OSError as error:  # a full disk is no reason to end the parts
            log.error("%s could not be written: %s", self._layout.home / STATE_FILE, error)

    def _save(self) -> None:
        layout = self._layout
        urls = {keeper.part.name: keeper.part.address for keeper in self._keepers}
        state = StackState(
            phase=self._phase,
            supervisor=self._identity,
            base_model=self._base_model,
            base_model_folder=str(layout.base_model) if layout.base_model else None,
            parts=[keeper.status for keeper in self._keepers],
            ports=layout.ports,
            curator_url=urls.get("curator"),
            trainer_address=urls.get("trainer"),
            inference_url=urls.get("inference"),
            s3_endpoint=layout.s3_ports.endpoint,
            s3_access_key=layout.s3_access_key,
            s3_secret_key=layout.s3_secret_key,
            token=layout.token,
            ca=str(layout.ca) if layout.ca else None,
        )
        write(layout.home, state)


def end_leftovers(earlier: StackState | None) -> None:
    """Kill what an earlier stack left when its supervisor was killed. Pids that belong to others now are left alone."""
    for part in earlier.parts if earlier else ():
        if part.process and processes.end_leftover(part.process):
            log.warning("killed %s (pid %d), left over from an earlier stack", part.name, part.process.pid)
    seaweedfs.remove_sockets(earlier.ports.values() if earlier else ())


def rotate_logs(folder: Path) -> None:
    """Each part begins a new log; the log of the stack before is kept as `<part>.log.1`."""
    for name in PART_NAMES:
        log_file = folder / f"{name}.log"
        if log_file.exists():
            log_file.replace(log_file.with_name(f"{name}.log.1"))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument(
        "--without", action="append", default=[], choices=[name for name in PART_NAMES if name != "objectstore"]
    )
    parser.add_argument("--new-secrets", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    home = cast(Path, arguments.home).resolve()
    lock = hold_lock(home)
    if lock is None:
        return LOCKED_EXIT_CODE
    with lock:
        earlier = read(home)
        end_leftovers(earlier)
        rotate_logs(home / "logs")
        processes.adopt_orphans()
        settings = StackSettings()
        layout = make_layout(settings, home, earlier, new_secrets=arguments.new_secrets)
        parts = make_parts(settings, layout, arguments.without)
        return asyncio.run(Supervisor(read_record(settings.base_model).name, layout, parts).run())


if __name__ == "__main__":
    try:
        code = main()
    except BurnishError as error:
        sys.exit(f"error: {error.message}")
    sys.exit(code)
