"""The two files that name the services' doors, and which of them counts: a folder's stack.json, the user's login.json.

Called by config.py for every command. Why this order: docs/adr/0008-access.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from burnish.errors import CorruptDataError
from burnish_client.config import login_file

STATE_FILE = "stack.json"
ADDRESSES = ("curator_url", "trainer_address", "inference_url")


@dataclass(frozen=True)
class Place:
    """One file and what it says. values: addresses, token and ca, those that it has."""

    kind: Literal["stack", "login", "none"]
    path: Path
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def title(self) -> str:
        """For people."""
        return {"stack": f"the stack in {self.path.parent}", "login": f"the login in {self.path}", "none": "nothing"}[
            self.kind
        ]


def chosen(home: Path) -> Place:
    """The stack of `home` unless `burnish down` has ended it; else the login; else the ended stack, if only to say so.

    By what the files say, never by what happens to run: a stack that crashed stays first, so that its fall does not send
    commands to another one. One file gives everything; two are never mixed. Raises CorruptDataError, PreconditionError.
    """
    stack = _stack(home / STATE_FILE)
    if stack is not None and stack.get("phase") != "stopped":
        return Place("stack", home / STATE_FILE, _known(stack))
    login = login_file.read()
    if login is not None:
        return Place("login", login_file.path(), _known(login.model_dump()))
    if stack is not None:
        return Place("stack", home / STATE_FILE, _known(stack))
    return Place("none", home / STATE_FILE)


def _stack(path: Path) -> dict[str, Any] | None:
    try:
        state = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except orjson.JSONDecodeError as error:
        raise CorruptDataError(
            f"{path} is not JSON ({error}): end the stack with `burnish down`, remove the file and run `burnish up`"
        ) from error
    return dict(state)


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in (*ADDRESSES, "token", "ca") if values.get(name)}
