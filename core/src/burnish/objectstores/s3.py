"""An object store over any S3 endpoint that honours conditional writes (SeaweedFS, AWS, MinIO, Ceph), by the minio SDK.

The only file that knows minio; its errors are translated here into ours.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.helpers import ObjectWriteResult, md5sum_hash

from burnish.errors import (
    AlreadyExistsError,
    BurnishError,
    ConflictError,
    CorruptDataError,
    InternalError,
    NotFoundError,
    PreconditionError,
    UnauthenticatedError,
    UnavailableError,
)
from burnish.files import write_atomically
from burnish.objectstores.keys import check_folder, check_key, check_prefix, check_size
from burnish.ports import ObjectInfo
from burnish.service.certificates import read_authorities

PART_SIZE_BYTES = 16 * 1024 * 1024
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60
ATTEMPTS = 4
REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
BUSY = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "ServerBusy"}
CONDITION_FAILED = "PreconditionFailed"
CONDITION_RACED = "ConditionalRequestConflict"  # AWS: another write of the key was under way; ask again


class _CheckedMinio(Minio):
    """Sends the MD5 of each object and part along, which the server compares with what it got.

    Without it SeaweedFS (4.48) stores an empty object, also over one that was there, if the writer dies after its headers.
    The SDK (7.2.20) does this over TLS alone.
    """

    def _put_object(
        self,
        bucket_name: str,
        object_name: str,
        data: bytes,
        headers: dict[str, Any] | None = None,
        query_params: dict[str, Any] | None = None,
    ) -> ObjectWriteResult:
        checked = {"Content-MD5": md5sum_hash(data), **(headers or {})}
        return super()._put_object(bucket_name, object_name, data, checked, query_params)


class S3ObjectStore:
    """burnish.ports.ObjectStore over one bucket.

    endpoint: `host:port`, without scheme. Plain calls are retried ATTEMPTS times on connection errors and 5xx, with
    back-off. Conditional writes are retried only while nothing has reached the server, so that a lost reply is never
    mistaken for a lost race: it raises UnavailableError, and the caller reads the key to learn the outcome.

    secure: over TLS, trusting the authorities of the PEM file `ca`, or the system's where it is None.
    """

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        bucket: str,
        secure: bool = False,
        region: str = "us-east-1",
        ca: Path | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.bucket = bucket
        if ca is not None and not secure:
            raise PreconditionError("BURNISH_S3_CA is set but BURNISH_S3_SECURE is not true: set both, or neither")
        context = _trusting(ca) if secure else None

        def connect(retry: urllib3.Retry) -> _CheckedMinio:
            http = urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS),
                maxsize=32,
                retries=retry,
                ssl_context=context,
            )
            return _CheckedMinio(
                endpoint, access_key=access_key, secret_key=secret_key, secure=secure, region=region, http_client=http
            )

        self._client = connect(
            urllib3.Retry(
                total=ATTEMPTS - 1, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504], raise_on_status=False
            )
        )
        self._conditional_client = connect(
            urllib3.Retry(connect=ATTEMPTS - 1, read=0, status=0, other=0, redirect=0, backoff_factor=0.2)
        )

    def ensure_bucket(self) -> None:
        """Create the bucket if it is not there. Safe to call from several processes at once."""
        with self._translated(self.bucket):
            if self._client.bucket_exists(self.bucket):
                return
            try:
                self._client.make_bucket(self.bucket)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise

    def put(self, key: str, data: bytes) -> ObjectInfo:
        with self._translated(check_key(key)):
            result = self._client.put_object(self.bucket, key, BytesIO(data), len(data), part_size=PART_SIZE_BYTES)
        return ObjectInfo(key=key, size_bytes=len(data), etag=_bare(result.etag))

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        try:
            return self._put_conditional(check_key(key), data, {"If-None-Match": "*"})
        except S3Error as error:
            raise AlreadyExistsError(f"an object already stands at {key}", key=key) from error

    def put_if_match(self, key: str, data: bytes, etag: str) -> ObjectInfo:
        try:
            return self._put_conditional(check_key(key), data, {"If-Match": f'"{etag}"'})
        except (S3Error, NotFoundError) as error:
            raise ConflictError(
                f"{key} is no longer at etag {etag}: read it again and decide again", key=key, etag=etag
            ) from error

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        size_bytes = path.stat().st_size
        with self._translated(check_key(key)), path.open("rb") as handle:
            result = self._client.put_object(self.bucket, key, handle, size_bytes, part_size=PART_SIZE_BYTES)
        return ObjectInfo(key=key, size_bytes=size_bytes, etag=_bare(result.etag))

    def get(self, key: str, size_bytes: int | None = None) -> bytes:
        with self._download(key) as response:
            return b"".join(_whole_body(response, key, size_bytes))

    def get_file(self, key: str, path: Path, size_bytes: int | None = None) -> ObjectInfo:
        with self._download(key) as response:
            write_atomically(path, _whole_body(response, key, size_bytes), mode=0o600)
            return ObjectInfo(key=key, size_bytes=path.stat().st_size, etag=_bare(response.headers.get("etag")))

    def stat(self, key: str) -> ObjectInfo:
        with self._translated(check_key(key)):
            found = self._client.stat_object(self.bucket, key)
        return ObjectInfo(key=key, size_bytes=found.size or 0, etag=_bare(found.etag))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The whole listing is read and sorted first: SeaweedFS lists folder by folder, not in key order."""
        with self._translated(check_prefix(prefix)):
            found = [
                ObjectInfo(key=item.object_name, size_bytes=item.size or 0, etag=_bare(item.etag))
                for item in self._client.list_objects(self.bucket, prefix=prefix, recursive=True)
                if item.object_name and not item.is_dir
            ]
        return iter(sorted(found, key=lambda info: info.key))

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Read off the keys: SeaweedFS names a folder for a while after its last object is gone."""
        below = (info.key.removeprefix(prefix) for info in self.list(check_folder(prefix)))
        return iter(sorted({rest.split("/")[0] for rest in below if "/" in rest}))

    def delete(self, key: str) -> None:
        with self._translated(check_key(key)):
            self._client.remove_object(self.bucket, key)

    def _put_conditional(self, key: str, data: bytes, condition: dict[str, str]) -> ObjectInfo:
        """The one conditional write. Raises S3Error where the condition failed, our errors for all else.

        The SDK has no public call that takes these headers (minio 7.2.20), hence its `_put_object`.
        """
        for _ in range(ATTEMPTS):
            try:
                with self._translated(key):
                    result = self._conditional_client._put_object(self.bucket, key, data, dict(condition))
                return ObjectInfo(key=key, size_bytes=len(data), etag=_bare(result.etag))
            except ConflictError:
                continue
        raise UnavailableError(
            f"{key} in bucket {self.bucket}: other writers kept colliding, {ATTEMPTS} attempts made", key=key
        )

    @contextmanager
    def _download(self, key: str) -> Iterator[urllib3.BaseHTTPResponse]:
        with self._translated(check_key(key)):
            response = self._client.get_object(self.bucket, key)
            with closing(response):
                yield response
                response.release_conn()

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Turn the SDK's and the transport's exceptions into ours, except a failed condition, which the caller names."""
        try:
            yield
        except S3Error as error:
            if error.code == CONDITION_FAILED:
                raise
            raise self._from_s3(error, key) from error
        except (ServerError, InvalidResponseError, urllib3.exceptions.HTTPError) as error:
            if (fault := _tls_fault(error)) is not None:
                raise PreconditionError(f"object store {self.endpoint}: {fault}", key=key) from error
            raise UnavailableError(
                f"object store {self.endpoint} does not answer for {key}: {error}", key=key
            ) from error
        except MinioException as error:
            raise InternalError(f"object store {self.endpoint} refused {key}: {error}", key=key) from error

    def _from_s3(self, error: S3Error, key: str) -> BurnishError:
        if error.code in ("NoSuchKey", "NoSuchObject"):
            return NotFoundError(f"there is no object at {key} in bucket {self.bucket}", key=key)
        if error.code == "NoSuchBucket":
            return PreconditionError(
                f"bucket {self.bucket} does not exist at {self.endpoint}: create it first", bucket=self.bucket
            )
        if error.code in REFUSED:
            return UnauthenticatedError(
                f"object store {self.endpoint} refused the credentials for {key} ({error.code}): check BURNISH_S3_ACCESS_KEY and BURNISH_S3_SECRET_KEY"
            )
        if error.code == CONDITION_RACED:
            return ConflictError(f"another write of {key} was under way", key=key)
        if error.code == "InternalError":  # all that SeaweedFS says of a full disk
            return UnavailableError(
                f"object store {self.endpoint} failed for {key} (InternalError): if writes fail and reads do not, its disk is full: "
                "make room there, or remove adapters, datasets and run logs (of `burnish up`: data/objectstore of the state folder)",
                key=key,
            )
        if error.code in BUSY:
            return UnavailableError(f"object store {self.endpoint} is busy ({error.code}) for {key}", key=key)
        return InternalError(f"object store {self.endpoint} answered {error.code} for {key}: {error.message}", key=key)


def _trusting(ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca is not None:
        context = ssl.create_default_context(cadata=read_authorities("BURNISH_S3_CA", ca).decode("ascii"))
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an authority that is not a root is trusted as well
    return context


def _tls_fault(error: Exception) -> str | None:
    """What is wrong with the TLS of the connection and what to do; None where the failure is another."""
    cause: object = getattr(error, "reason", error)
    cause = cause.args[0] if isinstance(cause, urllib3.exceptions.SSLError) and cause.args else cause
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message}): BURNISH_S3_CA names the authority's PEM file, BURNISH_S3_ENDPOINT the host in the certificate"
    if isinstance(cause, ssl.SSLError):
        return (
            f"TLS failed ({cause.reason or cause}): does it speak TLS? BURNISH_S3_SECURE=false is for one that does not"
        )
    return None


def _bare(etag: str | None) -> str:
    return (etag or "").strip('"')


def _whole_body(response: urllib3.BaseHTTPResponse, key: str, size_bytes: int | None) -> Iterator[bytes]:
    """The body in chunks; CorruptDataError where its length is not the announced one, or that is not the stated size."""
    announced, received = int(response.headers.get("content-length", -1)), 0
    check_size(key, announced, size_bytes)
    for chunk in response.stream(1024 * 1024):
        received += len(chunk)
        if received > announced:
            break
        yield chunk
    if received != announced:
        raise CorruptDataError(f"{key}: {received} bytes came of {announced} announced", key=key)
