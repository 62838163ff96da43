"""login.json: for its owner alone, whole or not there, and what is said where it is neither."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from burnish.errors import CorruptDataError, PreconditionError
from burnish_client.config import login_file
from burnish_client.config.login_file import Login

LOGIN = Login(curator_url="https://curator.example", token="a-token-nobody-sees", ca="/etc/ca.pem")


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_comes_back_the_same_and_only_its_owner_may_read_it(config_home: Path) -> None:
    before = os.umask(0)
    try:
        written = login_file.write(LOGIN)
    finally:
        os.umask(before)
    assert written == config_home / "burnish" / "login.json"
    assert (mode(written), mode(written.parent)) == (0o600, 0o700)
    assert login_file.read() == LOGIN
    assert [path.name for path in written.parent.iterdir()] == ["login.json"]
    assert "nobody-sees" not in repr(LOGIN)


def test_a_second_login_replaces_the_first_with_the_same_mode() -> None:
    login_file.write(LOGIN)
    written = login_file.write(LOGIN.model_copy(update={"token": "another"}))
    assert mode(written) == 0o600
    assert (login_file.read() or LOGIN).token == "another"


def test_a_write_that_fails_leaves_the_one_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    written = login_file.write(LOGIN)
    written.parent.chmod(0o700)
    broken = Login.model_construct(token=object())
    with pytest.raises(Exception, match="serialize"):
        login_file.write(broken)
    assert login_file.read() == LOGIN
    assert [path.name for path in written.parent.iterdir()] == ["login.json"]


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660])
def test_one_that_others_may_read_is_refused(bits: int) -> None:
    written = login_file.write(LOGIN)
    written.chmod(bits)
    with pytest.raises(PreconditionError, match=rf"mode 0{bits:o}\): `chmod 600 {written}`"):
        login_file.read()


def test_one_that_is_no_login_is_named_with_its_field() -> None:
    written = login_file.write(LOGIN)
    written.write_text('{"curator_url": "x"}')
    with pytest.raises(CorruptDataError, match=r"login\.json is not a login \(token: .*`burnish logout`"):
        login_file.read()


def test_without_one_there_is_nothing_to_read_or_remove() -> None:
    assert login_file.read() is None
    assert login_file.remove() is False
    login_file.write(LOGIN)
    assert login_file.remove() is True
    assert login_file.read() is None


def test_a_relative_folder_is_not_taken_as_the_specification_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("", "relative"):
        monkeypatch.setenv("XDG_CONFIG_HOME", given)
        assert login_file.path() == tmp_path / ".config" / "burnish" / "login.json"
