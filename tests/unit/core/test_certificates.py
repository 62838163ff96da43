"""What is said of certificate files that cannot be used, and that replaced ones are shown without a restart."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificate_making import Authority

from burnish.errors import PreconditionError
from burnish.service.certificates import Pair, ServerCertificate, host_names, pinned, read_authorities


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def refusal(certificate: Path | None, key: Path | None) -> str:
    with pytest.raises(PreconditionError) as refused:
        ServerCertificate.from_settings(certificate, key)
    assert "\n" not in refused.value.message
    return refused.value.message


def test_neither_is_no_tls_and_one_alone_is_refused(authority: Authority) -> None:
    certificate, key = authority.issue("good")
    assert ServerCertificate.from_settings(None, None) is None
    assert refusal(certificate, None).startswith("BURNISH_TLS_CERTIFICATE is set but BURNISH_TLS_KEY is not")
    assert refusal(None, key).startswith("BURNISH_TLS_KEY is set but BURNISH_TLS_CERTIFICATE is not")


def test_each_fault_names_its_file_and_the_cure(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("good")
    other_certificate, other_key = authority.issue("other")
    missing, nonsense = tmp_path / "missing.pem", tmp_path / "nonsense.pem"
    nonsense.write_text("no PEM at all")
    expired, nameless = authority.issue("old", days=(-30, -1)), authority.issue("nameless", names=())
    early, locked = authority.issue("early", days=(1, 30)), authority.issue("locked", passphrase=b"open sesame")
    for files, variable, file, words in (
        ((missing, key), "CERTIFICATE", missing, "cannot be read (No such file or directory)"),
        ((certificate, missing), "KEY", missing, "cannot be read"),
        ((nonsense, key), "CERTIFICATE", nonsense, "-----BEGIN CERTIFICATE-----"),
        ((certificate, nonsense), "KEY", nonsense, "-----BEGIN PRIVATE KEY-----"),
        ((certificate, other_key), "KEY", other_key, f"does not belong to the first certificate in {certificate}"),
        ((other_certificate, key), "KEY", key, "does not belong"),
        (expired, "CERTIFICATE", expired[0], "has expired (CN=old, valid "),
        (early, "CERTIFICATE", early[0], "is not valid yet"),
        (nameless, "CERTIFICATE", nameless[0], "subjectAltName"),
        (locked, "KEY", locked[1], "is encrypted"),
    ):
        message = refusal(*files)
        assert message.startswith(f"BURNISH_TLS_{variable}: {file} "), message
        assert words in message


def test_a_file_that_this_user_may_not_read_is_named(authority: Authority) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read every file: run as another user to see this")
    certificate, key = authority.issue("good")
    key.chmod(0)
    assert refusal(certificate, key).startswith(f"BURNISH_TLS_KEY: {key} cannot be read (Permission denied)")


def test_an_authority_file_is_checked_under_the_name_it_was_given_by(authority: Authority, tmp_path: Path) -> None:
    assert read_authorities("BURNISH_CA", authority.ca) == authority.ca.read_bytes()
    (tmp_path / "empty.pem").touch()
    with pytest.raises(PreconditionError, match=r"^BURNISH_CA: .*empty\.pem holds no certificate in PEM form"):
        read_authorities("BURNISH_CA", tmp_path / "empty.pem")


def test_a_pair_does_not_show_its_key(authority: Authority) -> None:
    door = ServerCertificate(*authority.issue("good"))
    assert "BEGIN" not in repr(door.current())


@contextmanager
def serving(door: ServerCertificate) -> Iterator[int]:
    """A TLS server that shakes hands and closes; its port."""
    context = door.ssl_context()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                    with plain, context.wrap_socket(plain, server_side=True):
                        pass
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def shown(port: int, trusting: ssl.SSLContext, name: str | None = None) -> str:
    """Common name of the certificate that the door shows."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        trusting.wrap_socket(plain, server_hostname=name) as connection,
    ):
        subject = (connection.getpeercert() or {})["subject"]
        return str(dict(entry[0] for entry in subject)["commonName"])  # type: ignore[index, misc]


def replace(door: ServerCertificate, pair: tuple[Path, Path]) -> None:
    for source, target in zip(pair, (door.certificate, door.key), strict=True):
        shutil.copy(source, target)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])  # an address sends no name (SNI)
def test_replaced_files_are_shown_at_the_next_connection(authority: Authority, tmp_path: Path, name: str) -> None:
    door = ServerCertificate(*(Path(shutil.copy(file, tmp_path)) for file in authority.issue("first")))
    trusting = ssl.create_default_context(cafile=authority.ca)
    with serving(door) as port:
        assert shown(port, trusting, name) == "first"
        replace(door, authority.issue("second"))
        assert shown(port, trusting, name) == "second"
        replace(door, authority.issue("third"))
        assert shown(port, trusting, name) == "third"


def test_a_bad_replacement_is_logged_and_the_pair_of_before_stays(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    door = ServerCertificate(*(Path(shutil.copy(file, tmp_path)) for file in authority.issue("first")))
    trusting, second = ssl.create_default_context(cafile=authority.ca), authority.issue("second")
    with serving(door) as port, caplog.at_level(logging.WARNING):
        shutil.copy(second[0], door.certificate)  # its key is still the first one's
        assert shown(port, trusting, "localhost") == "first"
        assert "does not belong to the first certificate" in caplog.text
        door.certificate.unlink()
        assert shown(port, trusting, "localhost") == "first"
        replace(door, second)
        assert shown(port, trusting, "localhost") == "second"


def test_every_consumer_is_told_of_a_change(authority: Authority, tmp_path: Path) -> None:
    """Two servers on one certificate, as the trainer's gRPC and metrics endpoints are."""
    door = ServerCertificate(*(Path(shutil.copy(file, tmp_path)) for file in authority.issue("first")))
    trusting = ssl.create_default_context(cafile=authority.ca)
    with serving(door) as one, serving(door) as other:
        replace(door, authority.issue("second"))
        assert [shown(port, trusting, "localhost") for port in (one, other)] == ["second", "second"]
        changed: Pair = door.current()
        assert door.current() is changed


def test_one_that_expires_soon_is_warned_of(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        ServerCertificate(*authority.issue("long"))
        ServerCertificate(*authority.issue("soon", days=(-1, 3)))
    levels = {record.getMessage().rpartition("/")[2].split(".")[0]: record.levelname for record in caplog.records}
    assert levels == {"long": "INFO", "soon": "WARNING"}


def test_ones_own_door_is_asked_by_its_certificate_under_any_name(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("elsewhere", names=("gpu.example", "*.wild.example", "10.0.0.7"))
    assert host_names(certificate.read_bytes()) == ["gpu.example", "*.wild.example", "10.0.0.7"]
    with serving(ServerCertificate(certificate, key)) as port:
        assert shown(port, pinned(certificate)) == "elsewhere"
        another = Authority(tmp_path / "another").issue("another")[0]
        with pytest.raises(ssl.SSLCertVerificationError):
            shown(port, pinned(another))
