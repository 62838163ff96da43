"""SDK of the adapter registry, which the inference service keeps: promote, roll back, look up, remove. Synchronous."""

from __future__ import annotations

import getpass
import socket
from typing import Any

from pydantic import BaseModel, ConfigDict

from burnish.layout import PRODUCTION
from burnish.schemas.adapter import AdapterManifest, Alias, AliasChange
from burnish.schemas.base import Listing
from burnish_client.sdk.transport.http import HttpClient, listing, segment

PROMOTE_TIMEOUT_SECONDS = 300.0  # the version is fetched, loaded and warmed before the answer


class HeldBy(BaseModel):
    """what: `alias production of fix`, `eval 0046…`; why: a few words."""

    model_config = ConfigDict(frozen=True)

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what} {self.why}"


class AdapterUse(BaseModel):
    """A version, and what holds it. One that nothing holds can be removed."""

    model_config = ConfigDict(frozen=True)

    adapter: AdapterManifest
    held_by: list[HeldBy]


class Adapters(HttpClient):
    """Changes of aliases and removals. Each change is kept with who made it: `by`, by default this machine's user.

    Raises ConflictError if somebody else changed the alias at the same time: look at it and decide again.
    """

    service = "inference"
    probe_path = "/v1/aliases"

    def promote(
        self,
        name: str,
        version: str,
        *,
        alias: str = PRODUCTION,
        override: str | None = None,
        by: str | None = None,
    ) -> Alias:
        """Let `name` answer with a version, in every gateway within a second. version: as `InferenceClient.adapter`.

        Raises UnprovenError unless a stored evaluation of this very version says ship; override: the reason to do without.
        """
        return self._change(name, alias, "promote", {"version": version, "by": by or whoami(), "override": override})

    def rollback(
        self, name: str, *, alias: str = PRODUCTION, reason: str | None = None, by: str | None = None
    ) -> Alias:
        """Return to what the alias named before its last promotion; after the first one it names no version."""
        return self._change(name, alias, "rollback", {"by": by or whoami(), "reason": reason})

    def remove_alias(
        self, name: str, *, alias: str = PRODUCTION, reason: str | None = None, by: str | None = None
    ) -> Alias:
        """Let the alias name no version. Its history stays; nothing is left to roll back to."""
        return self._change(name, alias, "remove", {"by": by or whoami(), "reason": reason})

    def aliases(self, name: str | None = None) -> Listing[Alias]:
        """By name; also those that name no version any more."""
        found = listing(self._get("/v1/aliases").json(), "aliases", Alias)
        return Listing([alias for alias in found if name in (None, alias.name)], found.broken)

    def history(self, name: str, alias: str = PRODUCTION) -> list[AliasChange]:
        """Every change of an alias, newest first; empty if there was none."""
        body = self._get(f"/v1/aliases/{segment(name)}/{segment(alias)}").json()
        return [AliasChange.model_validate(item) for item in body["changes"]]

    def uses(self, name: str | None = None) -> Listing[AdapterUse]:
        """Every version with what holds it, newest first."""
        return self._pages("/v1/adapter-uses", "versions", AdapterUse, {"name": name} if name else None)

    def remove(self, name: str, version: str) -> None:
        """Remove a version. Raises HeldError, which names the holders, if anything rests on it. There is no undoing."""
        self._send("DELETE", f"/v1/adapters/{segment(name)}/{segment(version)}")

    def remove_remote(self, name: str, version: str) -> None:
        """Forget a remote model. It stays with its provider. Raises HeldError, which names the holders, if anything rests on it."""
        self._send("DELETE", f"/v1/remote-models/{segment(name)}/{segment(version)}")

    def _change(self, name: str, alias: str, action: str, body: dict[str, Any]) -> Alias:
        path = f"/v1/aliases/{segment(name)}/{segment(alias)}/{action}"
        return Alias.model_validate_json(self._send("POST", path, json=body, timeout=PROMOTE_TIMEOUT_SECONDS).content)


def whoami() -> str:
    """`user@host` of this machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user, in some containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
