"""Every service, started as users start it, refuses weak credentials and bad certificates with one line that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from certificate_making import Authority
from inference_server import find_python
from integration.access.services import TOKEN

STORE_SECRET = "secret-of-one-run-of-tests"


def started(service: str, folder: Path, base_model: Path, **changes: str) -> tuple[int, str]:
    """(exit code, all it printed) of a service whose settings are good but for `changes`."""
    python = find_python() if service == "inference" else sys.executable
    prefix = f"BURNISH_{service.upper()}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BURNISH_")} | {
        "BURNISH_TOKEN": TOKEN,
        "BURNISH_S3_ENDPOINT": "127.0.0.1:9",
        "BURNISH_S3_ACCESS_KEY": "access-of-one-run",
        "BURNISH_S3_SECRET_KEY": STORE_SECRET,
        f"{prefix}_PORT": "0",
        f"{prefix}_DATABASE_URL": f"sqlite:///{folder / 'db'}",
        f"{prefix}_CACHE_DIR": str(folder),
        f"{prefix}_WORK_DIR": str(folder),
        f"{prefix}_BASE_MODEL": str(base_model),
        **changes,
    }
    done = subprocess.run(
        [str(python), "-m", f"burnish_{service}.main"],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("service", ["curator", "trainer", "inference"])
def test_weak_credentials_and_bad_certificates_are_refused_at_start(
    service: str, tmp_path: Path, base_model_dir: Path, authority: Authority
) -> None:
    certificate, _ = authority.issue(f"good-{service}")
    _, other_key = authority.issue(f"other-{service}")
    for changes, words in (
        ({"BURNISH_TOKEN": ""}, "BURNISH_TOKEN is not set or empty"),
        ({"BURNISH_TOKEN": "kX9-too-short"}, "BURNISH_TOKEN has 13 characters; the fewest are 16"),
        ({"BURNISH_S3_SECRET_KEY": "minioadmin"}, "BURNISH_S3_SECRET_KEY is made of well-known words"),
        (
            {"BURNISH_TLS_CERTIFICATE": str(certificate), "BURNISH_TLS_KEY": str(other_key)},
            f"BURNISH_TLS_KEY: {other_key} does not belong to the first certificate in {certificate}",
        ),
    ):
        code, printed = started(service, tmp_path, base_model_dir, **changes)
        said = [line for line in printed.splitlines() if words in line]
        assert (code, len(said)) == (1, 1), f"{changes}: {printed}"
        assert "Traceback" not in printed
        assert "traceback" not in printed
        assert TOKEN not in printed
        if "TLS" not in words:
            assert "openssl rand -base64 32" in said[0]
            assert "make secrets" in said[0]
