"""Composition root of the curator: reads the environment, picks implementations, starts the server."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import uvicorn
from pydantic import ValidationError
from tokenizers import Tokenizer
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from burnish.asgi.connections import BoundedConnection
from burnish.curation.lengths import CharacterLengths, Lengths, TokenLengths, load_chat_template
from burnish.errors import BurnishError
from burnish.runlogs.traces.scores import read_rules
from burnish.schemas.models import RECORD, read_record
from burnish.service import credentials
from burnish.service.certificates import ServerCertificate
from burnish.service.settings import S3Settings, TlsSettings, TokenSettings
from burnish.telemetry import logs
from burnish.telemetry.tracing import Tracing
from burnish_curator.app import Deps, create_app
from burnish_curator.database import open_database
from burnish_curator.settings import CuratorSettings

DRAIN_SECONDS = 10


class Protocol(BoundedConnection, HttpToolsProtocol):
    """uvicorn's, with time limits on what a connection sends."""


def main() -> None:
    logs.configure(quiet=("alembic", "urllib3"))
    try:
        run(CuratorSettings(), S3Settings(), TokenSettings(), TlsSettings().open())  # type: ignore[call-arg]  # from the environment
    except (ValidationError, BurnishError) as error:
        sys.exit(f"burnish-curator cannot start: {error}")


def run(curator: CuratorSettings, s3: S3Settings, access: TokenSettings, certificate: ServerCertificate | None) -> None:
    token = access.token.get_secret_value()
    credentials.check_all(token, s3.access_key.get_secret_value(), s3.secret_key.get_secret_value())
    store = s3.open()
    store.ensure_bucket()
    deps = Deps(
        store=store,
        database=open_database(curator.database_url),
        cache_dir=curator.cache_dir,
        token=token,
        lengths=lengths(curator.tokenizer),
        max_upload_bytes=curator.max_upload_bytes,
        cache_bytes=int(curator.cache_gib * 1024**3),
        traces_seconds=curator.traces_seconds,
        traces_rules=read_rules((), curator.traces_scores),
        tracing=Tracing.from_environment("burnish-curator"),
    )
    uvicorn.run(
        create_app(deps),
        host=curator.host,
        port=curator.port,
        http=Protocol,
        proxy_headers=bool(curator.trusted_proxies),
        forwarded_allow_ips=curator.trusted_proxies,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_context_factory=(lambda *_: certificate.ssl_context()) if certificate else None,
    )


def lengths(tokenizer: Path | None) -> Lengths:
    """How row lengths are counted. Without a tokenizer they are counted in characters, and the log says so."""
    if tokenizer is None:
        logging.getLogger(__name__).warning("BURNISH_CURATOR_TOKENIZER is not set: lengths are counted in characters")
        return CharacterLengths()
    template, special_tokens = load_chat_template(tokenizer)
    encoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    encoder.no_truncation()
    if not (tokenizer / RECORD).is_file():
        return TokenLengths(encoder, template, special_tokens, name=tokenizer.name, digest=None)
    record = read_record(tokenizer)
    return TokenLengths(encoder, template, special_tokens, name=record.name, digest=record.digest)


if __name__ == "__main__":
    main()
