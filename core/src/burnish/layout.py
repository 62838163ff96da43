"""Where each kind of object is in the bucket. The only file that spells a key.

A manifest is written last, with If-None-Match: *, and makes the thing exist.
"""

from __future__ import annotations

import re

from burnish.errors import InvalidInputError, NotFoundError

MANIFEST = "manifest.json"
PRODUCTION = "production"  # the alias that a bare adapter name stands for
ALIASES = "aliases/"
INBOX = "traces/"
CHECKPOINTS = "checkpoints/"
ERASURES = "erasures/"
TOMBSTONE = "erased.json"
CLUSTERINGS = "clusterings/"
NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}\Z")
PART = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")


def check_name(name: str, what: str) -> str:
    """Return the name, or raise InvalidInputError: lower case letters, digits, '.', '_' and '-', 1 to 63, no leading punctuation."""
    if not NAME.match(name):
        raise InvalidInputError(
            f"{what} {name!r}: use 1 to 63 of a-z 0-9 . _ - and start with a letter or digit", field=what
        )
    return name


def _part(text: str, what: str) -> str:
    """One step of a key, as a caller gave it. NotFoundError for what no object of ours is called, slashes above all."""
    if not PART.match(text):
        raise NotFoundError(f"there is no {what} {text[:100]!r}: it has letters, digits and . _ - alone, at most 200")
    return text


def runlog(run_log_id: str, file: str = MANIFEST) -> str:
    return f"runlogs/{_part(run_log_id, 'run_log_id')}/{file}"


def clustering(run_log_id: str, version: str, file: str = MANIFEST) -> str:
    return f"{CLUSTERINGS}{_part(run_log_id, 'run_log_id')}/{_part(version, 'version')}/{file}"


def inbox(name: str, file: str) -> str:
    """Traces that came over the network and wait to become a run log."""
    return f"{INBOX}{_part(name, 'name')}/{_part(file, 'file')}"


def dataset(name: str, version: str, file: str = MANIFEST) -> str:
    return f"datasets/{_part(name, 'name')}/{_part(version, 'version')}/{file}"


def adapter(name: str, version: str, file: str = MANIFEST) -> str:
    return f"adapters/{_part(name, 'name')}/{_part(version, 'version')}/{file}"


def checkpoint(job_id: str, step: int, file: str = MANIFEST) -> str:
    """Steps are zero-padded so that a listing is in step order."""
    return f"{CHECKPOINTS}{_part(job_id, 'job_id')}/{step:08d}/{file}"


def reference(digest: str, file: str = MANIFEST) -> str:
    """Log-probabilities of a reference model over a dataset's rows, by the digest of all that they depend on."""
    return f"references/{_part(digest, 'digest')}/{file}"


def hosted(job_id: str) -> str:
    """What is known of a job that a provider trains. Not immutable: each change is a conditional write."""
    return f"hosted/{_part(job_id, 'job_id')}/record.json"


def remote_model(name: str, version: str, file: str = MANIFEST) -> str:
    """A tuned model that stays with its provider."""
    return f"remote-models/{_part(name, 'name')}/{_part(version, 'version')}/{file}"


def benchmark(name: str, version: str, file: str = MANIFEST) -> str:
    return f"benchmarks/{_part(name, 'name')}/{_part(version, 'version')}/{file}"


def evaluation(eval_id: str, file: str = MANIFEST) -> str:
    return f"evals/{_part(eval_id, 'eval_id')}/{file}"


def erasure(erasure_id: str) -> str:
    """`open`: the erasure that has not ended, of which there is one at a time."""
    return f"{ERASURES}{_part(erasure_id, 'erasure_id')}.json"


def alias(name: str, alias: str = PRODUCTION) -> str:
    """`@` is in no name, so that an alias of one adapter is never taken for that of another."""
    name, alias = _part(name, "name"), _part(alias, "alias")
    return f"{ALIASES}{name}.json" if alias == PRODUCTION else f"{ALIASES}{name}@{alias}.json"


def alias_change(name: str, alias: str, number: int) -> str:
    """Numbers are zero-padded so that a listing is in their order."""
    return f"alias-changes/{_part(name, 'name')}/{_part(alias, 'alias')}/{number:08d}.json"
