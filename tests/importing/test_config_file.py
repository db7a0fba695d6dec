"""Tests for adding and replacing tunnels in a config file (`import --write`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.config import ConfigError, parse
from tunnelkeeper.importing import config_file
from tunnelkeeper.importing.source_commands import ImportedTunnel

if TYPE_CHECKING:
    from pathlib import Path

OLD = """\
# My tunnels.   \t
[defaults]
hold_timeout = 20   # seconds

# the database
[tunnels.db]
host = "relay"
local = [
    "5432:db:5432",  # [tunnels.web]
]
[tunnels.db.backoff]
max = 10

# the web
[tunnels."web.eu"]
host = 'relay'
socks = "1080"
# the end
"""


def tunnel(name: str, port: int = 9000) -> ImportedTunnel:
    return ImportedTunnel(name, "a test", {"host": "h", "socks": [str(port)]}, ("why",))


def write_tunnels(path: Path, *tunnels: ImportedTunnel) -> str:
    file = config_file.read(path)
    config_file.write(file, config_file.add_tunnels(file, tunnels))
    return path.read_bytes().decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tunnels.toml"
    path.write_text(OLD)
    return path


NEW = '# Imported from a test.\n# why\n[tunnels.new]\nhost = "h"\nsocks = [\n    "9000",\n]\n'


def test_existing_text_is_kept_byte_for_byte(path: Path) -> None:
    assert write_tunnels(path, tunnel("new")) == f"{OLD}\n{NEW}"


@pytest.mark.parametrize(
    "old", ["# no end of line", "\ufeff# a mark\r\n[defaults]\r\n", "", "\n\n"]
)
def test_byte_order_marks_and_missing_newlines_are_kept(path: Path, old: str) -> None:
    path.write_bytes(old.encode())

    text = write_tunnels(path, tunnel("new"))

    assert text.startswith(old)
    assert text.endswith(NEW)
    assert list(config_file.read(path).configuration.tunnels) == ["new"]


def test_a_missing_file_is_created_with_mode_0600(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "tunnels.toml"

    assert write_tunnels(path, tunnel("new")) == NEW
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_mode_and_a_symbolic_link_are_kept(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(path.name)

    write_tunnels(link, tunnel("new"))

    assert link.is_symlink()
    assert path.read_text() == f"{OLD}\n{NEW}"
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link.toml", "tunnels.toml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner of a file")
def test_the_owner_is_kept(path: Path) -> None:
    os.chown(path, 54321, 54322)

    write_tunnels(path, tunnel("new"))

    assert (path.stat().st_uid, path.stat().st_gid) == (54321, 54322)


def test_a_tunnel_is_replaced_in_place(path: Path) -> None:
    text = write_tunnels(path, tunnel("db"), tunnel("new", 9001))

    before, _, after = OLD.partition("[tunnels.db]")
    kept = after[after.index("\n# the web") :]
    assert text == "".join(
        [before, NEW.replace("new", "db"), kept, "\n", NEW.replace("9000", "9001")]
    )


def test_import_comments_are_replaced_with_their_tunnel(path: Path) -> None:
    once = write_tunnels(path, tunnel("db"))

    assert write_tunnels(path, tunnel("db")) == once


def test_a_tunnel_whose_name_has_a_dot_is_replaced(path: Path) -> None:
    write_tunnels(path, tunnel("web.eu"))

    assert parse(path.read_text(), "").tunnels["web.eu"].host == "h"
    assert path.read_text().endswith("\n# the end\n")


@pytest.mark.parametrize(
    "text",
    [
        '[tunnels]\ndb = { host = "h", socks = "1" }\n',
        '[tunnels]\ndb.host = "h"\ndb.socks = "1"\n',
        'tunnels.db.host = "h"\n',
    ],
)
def test_replacing_a_tunnel_without_its_own_table_is_refused(path: Path, text: str) -> None:
    path.write_text(text)

    with pytest.raises(ConfigError, match="cannot be replaced here"):
        write_tunnels(path, tunnel("db"))

    assert path.read_text() == text


@pytest.mark.parametrize(
    "added",
    [tunnel("clash", 1080), ImportedTunnel("bad", "a test", {"host": "h", "sock": []})],
    ids=lambda added: added.name,
)
def test_an_invalid_result_writes_nothing(path: Path, added: ImportedTunnel) -> None:
    before = path.stat()

    with pytest.raises(ConfigError):
        write_tunnels(path, added)

    assert path.read_text() == OLD
    assert path.stat().st_ino == before.st_ino


def test_adding_to_an_inline_table_of_tunnels_is_refused(path: Path) -> None:
    path.write_text('tunnels = { db = { host = "h", socks = "1" } }\n')

    with pytest.raises(ConfigError):
        write_tunnels(path, tunnel("new"))


def test_hosts_with_a_hosts_table_in_the_file_are_reported(path: Path) -> None:
    path.write_text("[hosts.h]\nport = 22\n")

    assert config_file.find_shared_hosts(config_file.read(path), [tunnel("a")]) == ["h"]
