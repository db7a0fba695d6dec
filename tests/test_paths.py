"""Paths from options, environment variables and the user database."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from tunnelkeeper.paths import (
    config_path,
    expanded,
    home,
    lock_path,
    log_path,
    relay_config_path,
    relay_runtime_folder,
    relay_state_folder,
    set_account_variables,
    socket_path,
)

HOME = {"HOME": "/home/ann"}


def test_the_config_option_has_priority_over_everything() -> None:
    env = HOME | {"TUNNELKEEPER_CONFIG": "/env.toml", "XDG_CONFIG_HOME": "/xdg"}

    assert config_path("my.toml", env) == Path("my.toml")


def test_the_config_variable_has_priority_over_xdg() -> None:
    env = HOME | {"TUNNELKEEPER_CONFIG": "/env.toml", "XDG_CONFIG_HOME": "/xdg"}

    assert config_path(None, env) == Path("/env.toml")


def test_an_empty_variable_counts_as_unset() -> None:
    env = HOME | {"TUNNELKEEPER_CONFIG": "", "XDG_CONFIG_HOME": ""}

    assert config_path(None, env) == Path("/home/ann/.config/tunnelkeeper/tunnels.toml")


def test_the_config_file_is_in_the_xdg_folder() -> None:
    env = HOME | {"XDG_CONFIG_HOME": "/xdg"}

    assert config_path(None, env) == Path("/xdg/tunnelkeeper/tunnels.toml")


def test_a_relative_xdg_folder_is_ignored_as_the_specification_says() -> None:
    env = HOME | {"XDG_CONFIG_HOME": "xdg", "XDG_STATE_HOME": "state", "XDG_RUNTIME_DIR": "run"}

    assert config_path(None, env) == Path("/home/ann/.config/tunnelkeeper/tunnels.toml")
    assert socket_path(None, env) == Path("/home/ann/.local/state/tunnelkeeper/control.sock")


def test_an_empty_option_is_not_replaced_by_the_default() -> None:
    assert config_path("", HOME) == Path()


def test_the_socket_comes_from_option_then_variable_then_runtime_folder() -> None:
    env = HOME | {"XDG_RUNTIME_DIR": "/run/user/7", "TUNNELKEEPER_SOCKET": "~/tk.sock"}

    assert socket_path("/tmp/s", env) == Path("/tmp/s")
    assert socket_path(None, env) == Path("/home/ann/tk.sock")
    del env["TUNNELKEEPER_SOCKET"]
    assert socket_path(None, env) == Path("/run/user/7/tunnelkeeper/control.sock")


def test_without_a_runtime_folder_the_socket_is_in_the_state_folder() -> None:
    env = HOME | {"XDG_STATE_HOME": "/var/state"}

    assert socket_path(None, env) == Path("/var/state/tunnelkeeper/control.sock")


def test_each_socket_has_its_own_lock_beside_it() -> None:
    assert lock_path(Path("/run/a.sock")) == Path("/run/a.sock.lock")
    assert lock_path(Path("/run/a.other")) != lock_path(Path("/run/a.sock"))


def test_the_log_is_in_the_state_folder() -> None:
    assert log_path(HOME) == Path("/home/ann/.local/state/tunnelkeeper/tunnelkeeper.log")
    assert log_path(HOME | {"XDG_STATE_HOME": "/s"}) == Path("/s/tunnelkeeper/tunnelkeeper.log")


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("~", "/home/ann"),
        ("~/a/b", "/home/ann/a/b"),
        ("~//etc", "/home/ann/etc"),
        ("a/~", "a/~"),
        ("/a", "/a"),
        ("~no-such-user-here/a", "~no-such-user-here/a"),
    ],
)
def test_a_leading_tilde_is_expanded_to_home(written: str, path: str) -> None:
    assert expanded(written, HOME) == Path(path)


def test_a_tilde_with_a_user_is_that_users_home() -> None:
    root = pwd.getpwuid(0)

    assert expanded(f"~{root.pw_name}/a", HOME) == Path(root.pw_dir) / "a"


@pytest.mark.parametrize(
    ("given", "home_folder", "name"),
    [
        ({}, "/", str(os.getuid())),
        ({"HOME": "/data", "USER": "ann"}, "/data", "ann"),
        ({"HOME": "relative", "LOGNAME": "bob", "USER": "ann"}, "/", "bob"),
    ],
)
def test_a_uid_without_an_account_gets_the_missing_account_variables(
    given: dict[str, str], home_folder: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_account(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    with_account, without_account = dict(given), dict(given)
    set_account_variables(with_account)
    monkeypatch.setattr(pwd, "getpwuid", no_account)
    set_account_variables(without_account)

    assert with_account == given
    assert (without_account["HOME"], without_account["LOGNAME"]) == (home_folder, name)
    assert home(without_account) == Path(home_folder)


@pytest.mark.parametrize("env", [{}, {"HOME": ""}, {"HOME": "relative"}])
def test_without_a_usable_home_variable_the_user_database_is_used(env: dict[str, str]) -> None:
    assert home(env) == Path(pwd.getpwuid(os.getuid()).pw_dir)


def test_the_relay_shares_no_folder_with_the_supervisor() -> None:
    assert relay_config_path(HOME) == Path("/home/ann/.config/tunnelkeeper-relay/relay.toml")
    assert relay_state_folder(HOME) == Path("/home/ann/.local/state/tunnelkeeper-relay")
    assert relay_runtime_folder(HOME) == relay_state_folder(HOME)

    env = HOME | {"XDG_RUNTIME_DIR": "/run/user/7", "XDG_CONFIG_HOME": "/xdg"}
    assert relay_config_path(env) == Path("/xdg/tunnelkeeper-relay/relay.toml")
    assert relay_runtime_folder(env) == Path("/run/user/7/tunnelkeeper-relay")
