"""Files that others can write: relay.toml, host keys, and authorized keys."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.relay.authorized_keys_lines import line
from tests.requirements import require_root
from tunnelkeeper.config import ConfigError, Problem
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.relay import config_check, host_key, main
from tunnelkeeper.relay.authorized_keys_store import AuthorizedKeysStore
from tunnelkeeper.relay.config import ConfigSource
from tunnelkeeper.relay.host_key import HostKeyError, make_key
from tunnelkeeper.relay.key_file import NO_KEYS
from tunnelkeeper.relay.strict_modes import private_key_problem

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65534


def status(mode: int, uid: int) -> os.stat_result:
    return os.stat_result((0o100000 | mode, 0, 0, 1, uid, 0, 0, 0, 0, 0))


@pytest.fixture
def source(tmp_path: Path) -> ConfigSource:
    """Write a relay.toml, a host key and an authorized_keys file that are in order."""
    folder = tmp_path / "relay"
    folder.mkdir(0o700)
    (folder / "relay.toml").write_text("listen = ['127.0.0.1:0']\nauthorized_keys = 'keys/%u'\n")
    make_key(folder / "relay_host_key")
    (folder / "keys").mkdir()
    (folder / "keys" / "box").write_text(f"{line(seed=1)}\n")
    return ConfigSource(folder / "relay.toml")


def check(source: ConfigSource) -> tuple[list[Problem], list[Problem]]:
    return config_check.check(source)


@pytest.mark.parametrize(
    ("name", "mode", "message"),
    [
        ("relay.toml", 0o666, "can be written by others"),
        (".", 0o777, "relay can be written by others"),
        ("relay_host_key", 0o660, "others can read it"),
        ("keys", 0o757, "keys can be written by others"),
        ("keys/box", 0o666, "can be written by others"),
    ],
)
def test_check_reports_each_file_and_folder_that_others_can_write(
    source: ConfigSource, name: str, mode: int, message: str
) -> None:
    assert check(source) == ([], [])

    (source.path.parent / name).chmod(mode)
    problems, _ = check(source)

    assert any(message in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("name", "mode"), [("relay.toml", 0o666), (".", 0o777), ("relay_host_key", 0o644)]
)
def test_a_relay_does_not_start_with_such_a_config_file_or_host_key(
    source: ConfigSource, name: str, mode: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = source.path.parent / name
    path.chmod(mode)

    assert main.run(source, tmp_path / "socket") == ExitCode.USAGE
    assert "\n  hint: chmod " in capsys.readouterr().err


def test_a_host_key_is_not_generated_in_a_folder_of_all(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    with pytest.raises(HostKeyError, match="can be written by others"):
        host_key.load(tmp_path / "relay_host_key")
    assert list(tmp_path.iterdir()) == []
    host_key.load(tmp_path / "relay_host_key", strict_modes=False)


def test_keys_of_a_file_that_others_can_write_are_refused_until_it_is_mended(
    source: ConfigSource, caplog: pytest.LogCaptureFixture
) -> None:
    path = source.path.parent / "keys" / "box"
    store = AuthorizedKeysStore(f"{path.parent}/%u")
    path.chmod(0o622)

    assert store.keys_for_blocking("box") is NO_KEYS
    assert caplog.messages[-1] == (
        f"cannot read authorized keys: {path}: can be written by others (mode 0622)"
    )
    assert caplog.records[-1].__dict__["hint"] == f"chmod go-w {path}"

    path.parent.chmod(0o777)
    assert store.keys_for_blocking("box") is NO_KEYS
    assert f"{path.parent} can be written by others" in caplog.messages[-1]

    path.chmod(0o600)
    path.parent.chmod(0o700)
    assert len(list(store.keys_for_blocking("box"))) == 1


def test_strict_modes_can_be_switched_off_for_keys_only(source: ConfigSource) -> None:
    folder = source.path.parent
    source.path.write_text(f"{source.path.read_text()}strict_modes = false\n")
    (folder / "keys").chmod(0o777)
    (folder / "keys" / "box").chmod(0o666)
    assert check(source) == ([], [])
    assert not source.read().strict_modes

    store = AuthorizedKeysStore(f"{folder}/keys/%u", strict_modes=False)
    assert len(list(store.keys_for_blocking("box"))) == 1

    (folder / "relay_host_key").chmod(0o644)
    [problem] = check(source)[0]
    assert problem.message == "others can read it (mode 0644)"
    assert problem.hint == f"chmod 600 {folder}/relay_host_key"

    source.path.chmod(0o666)
    with pytest.raises(ConfigError, match="can be written by others"):
        source.read()


def test_a_list_of_revoked_keys_that_others_can_write_is_reported(source: ConfigSource) -> None:
    source.path.write_text(f'revoked_keys = "revoked"\n{source.path.read_text()}')
    revoked = source.path.parent / "revoked"
    revoked.touch()
    assert check(source) == ([], [])

    revoked.chmod(0o666)
    assert [problem.path for problem in check(source)[0]] == [str(revoked)]


def test_root_can_check_the_files_of_the_user_that_runs_the_relay(source: ConfigSource) -> None:
    require_root()
    keys = source.path.parent / "keys"
    for path in (source.path.parent / "relay_host_key", keys, keys / "box"):
        os.chown(path, NOBODY, NOBODY)
    assert check(source) == ([], [])

    os.chown(keys / "box", NOBODY - 1, NOBODY - 1)
    [problem] = check(source)[0]
    assert problem.message.startswith(f"{keys} belongs to ")


@pytest.mark.parametrize(
    ("mode", "uid", "user", "is_refused"),
    [
        (0o600, 0, 0, False),
        (0o640, 0, 0, True),
        (0o640, 0, 1000, False),  # root's, readable for the group of the relay's user
        (0o644, 0, 1000, True),
        (0o640, 1000, 1000, True),
        (0o600, 1000, 1000, False),
    ],
)
def test_who_may_read_a_host_key(
    mode: int, uid: int, user: int, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)

    assert (private_key_problem(status(mode, uid)) is not None) == is_refused
