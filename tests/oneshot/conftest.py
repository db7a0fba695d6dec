"""A config file with one tunnel, for tests of `check`."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.e2e.keys import make_key
from tunnelkeeper.oneshot import check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ConfigFile:
    """A config file with one tunnel, `db`, to `relay`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tunnels.toml"
        self.known_hosts = folder / "known_hosts"
        self.where = f"{self.path}:6: tunnels.db"
        self.host = "me@relay:22"
        self.at = f"{self.where}: {self.host}"

    def check(
        self, *lines: str, ssh_config: str = "false", more: str = ""
    ) -> tuple[list[str], list[str]]:
        """Write the file with these lines and tables. Return its problems and warnings."""
        head = f'[supervisor]\nssh_config = {ssh_config}\n[defaults]\nuser = "me"\n'
        head += f'known_hosts = "{self.known_hosts}"\n'
        tunnel = '[tunnels.db]\nhost = "relay"\nremote = "2201:localhost:22"\n'
        self.path.write_text(head + tunnel + "".join(f"{line}\n" for line in lines) + more)
        problems, warnings = check.check(str(self.path))
        return [str(each.full_message) for each in problems], [
            str(each.full_message) for each in warnings
        ]

    def at_key(self, key: str, line: int = 9) -> str:
        """Return the place of a key of the tunnel and the host."""
        return f"{self.path}:{line}: tunnels.db.{key}: {self.host}"

    def problems(self, *lines: str) -> list[str]:
        problems, warnings = self.check(*lines)
        assert warnings == []
        return problems


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConfigFile:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return ConfigFile(tmp_path)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "id_ed25519")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """Return the socket of an agent, which answers nothing."""
    path = tmp_path / "agent"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        yield path
