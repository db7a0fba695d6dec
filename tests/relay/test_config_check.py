"""Findings of `relay check` that concern relay.toml and the keys together."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.relay.in_process_relay import new_key, public
from tunnelkeeper.relay.config import ConfigSource
from tunnelkeeper.relay.config_check import check


def warnings_about_permit_open(folder: Path, settings: str, user: str, options: str) -> list[str]:
    """Check a relay.toml and the key of one user. settings: a %u in them names the file."""
    keys = folder / ("keys" if "%u" in settings else "authorized_keys")
    if "%u" in settings:
        keys.mkdir()
        keys /= user
    keys.write_text(f"{options} {public(new_key())} {user}\n".lstrip())
    config = folder / "relay.toml"
    config.write_text(settings)
    problems, warnings = check(ConfigSource(config))
    assert problems == []
    return [warning.message for warning in warnings if warning.key == "permit_open"]


@pytest.mark.parametrize("options", ['permitlisten="box17:22"', 'PermitListen="BOX*:22"'])
def test_a_name_of_a_key_that_permit_open_makes_a_host_is_reported(
    tmp_path: Path, options: str
) -> None:
    settings = 'permit_open = ["Box17:22"]\n'
    [warning] = warnings_about_permit_open(tmp_path, settings, "box17", options)

    assert warning.startswith("box17 is a host because it is in permit_open")
    assert warning.endswith('permit_open opens the names of clients with "names"')


def test_the_name_of_a_user_that_permit_open_makes_a_host_is_reported(tmp_path: Path) -> None:
    settings = 'authorized_keys = "keys/%u"\npermit_open = ["*:443", "box17:22", "db:5432"]\n'
    [warning] = warnings_about_permit_open(tmp_path, settings, "box17", "")

    assert warning.startswith("box17 is a host")


@pytest.mark.parametrize(
    "settings",
    [
        'permit_open = ["db:22", "box17.example.com:22", "*:443", "names"]\n',
        'permit_open = ["box17:22"]\nnames = false\n',
        'authorized_keys = "keys/%u"\npermit_open = ["db:22"]\n',
    ],
)
def test_a_host_that_is_no_name_is_not_reported(tmp_path: Path, settings: str) -> None:
    options = 'permitlisten="box17:22",permitlisten="*:22",permitopen="db:22"'
    assert warnings_about_permit_open(tmp_path, settings, "box17", options) == []


def test_a_folder_of_keys_that_cannot_be_listed_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "keys"))

    (tmp_path / "keys").mkdir()
    config = tmp_path / "relay.toml"
    config.write_text('authorized_keys = "keys/%u"\npermit_open = ["db:22"]\n')
    monkeypatch.setattr(Path, "iterdir", refuse)
    problems, warnings = check(ConfigSource(config), has_host_keys=True)

    assert problems == []
    assert [(warning.path, warning.message) for warning in warnings] == [
        (str(tmp_path / "keys"), "Permission denied; the files in it are not checked")
    ]
