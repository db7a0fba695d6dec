"""What a start with no one present needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.keys import make_key, public
from tunnelkeeper.oneshot.unattended import find_needs

if TYPE_CHECKING:
    from pathlib import Path

HEAD = '[supervisor]\nssh_config = false\n[defaults]\nuser = "ann"\nsystem_known_hosts = []\n'


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "id_test", passphrase="secret phrase")


def needs(
    tmp_path: Path,
    key: Path,
    lines: str = "",
    *,
    names: tuple[str, ...] = (),
    credentials: set[str] | None = None,
    is_known: bool = True,
) -> list[str]:
    """Return the needs of two tunnels to a server; the second one is not started by itself."""
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"server {public(key)}\n" if is_known else "")
    config = tmp_path / "tunnels.toml"
    config.write_text(
        f'{HEAD}identity_files = "{key}"\nknown_hosts = "{known_hosts}"\n{lines}\n'
        '[tunnels.db]\nhost = "server"\nsocks = 1080\n'
        '[tunnels.web]\nhost = "other"\nsocks = 1081\nautostart = false\n'
    )
    return find_needs(str(config), names, credentials or set())


def test_an_encrypted_key_and_an_unknown_host_are_named(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    remedy = "set passphrase_command, or pass --credential passphrase-id_test:FILE"
    assert needs(tmp_path, key, is_known=False) == [
        f"ann@server:22: the key {key} is encrypted: {remedy}",
        "ann@server:22: its host key is not known: tunnelkeeper trust db",
    ]


def test_an_agent_may_hold_the_key(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    (need,) = needs(tmp_path, key)
    assert need.endswith("or let the service reach an agent that holds the key")


def test_only_the_tunnels_that_are_started_count(tmp_path: Path, key: Path) -> None:
    (need, unknown) = needs(tmp_path, key, names=("web",))
    assert need.startswith("ann@other:22: the key")
    assert unknown == "ann@other:22: its host key is not known: tunnelkeeper trust web"


@pytest.mark.parametrize(
    "lines",
    ['passphrase_command = "pass show key"', "keyring = true", "pubkey_authentication = false"],
)
def test_a_stored_answer_needs_no_one(tmp_path: Path, key: Path, lines: str) -> None:
    assert needs(tmp_path, key, lines) == []


def test_a_credential_needs_no_one(tmp_path: Path, key: Path) -> None:
    assert needs(tmp_path, key, credentials={"passphrase-id_test"}) == []


def test_a_second_key_without_a_passphrase_is_enough(tmp_path: Path, key: Path) -> None:
    other = make_key(tmp_path / "other")
    config = f'[hosts.server]\nidentity_files = ["{key}", "{other}"]'
    assert needs(tmp_path, key, config) == []


def test_a_host_whose_new_key_is_accepted_needs_no_one(tmp_path: Path, key: Path) -> None:
    lines = 'host_key_policy = "accept-new"\nkeyring = true'
    assert needs(tmp_path, key, lines, is_known=False) == []


def test_a_host_that_cannot_be_looked_up_is_left_to_check(tmp_path: Path, key: Path) -> None:
    assert needs(tmp_path, key, 'password_command = ["store", "%z"]', is_known=False) == []
