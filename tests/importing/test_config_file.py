"""What --write makes of a config file."""

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


def put(path: Path, *tunnels: ImportedTunnel) -> str:
    file = config_file.read(path)
    config_file.write(file, config_file.with_tunnels(file, tunnels))
    return path.read_bytes().decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tunnels.toml"
    path.write_text(OLD)
    return path


NEW = '# Imported from a test.\n# why\n[tunnels.new]\nhost = "h"\nsocks = [\n    "9000",\n]\n'


def test_what_stands_in_it_stays_byte_for_byte(path: Path) -> None:
    assert put(path, tunnel("new")) == f"{OLD}\n{NEW}"


@pytest.mark.parametrize(
    "old", ["# no end of line", "\ufeff# a mark\r\n[defaults]\r\n", "", "\n\n"]
)
def test_odd_ends_and_beginnings_stay_too(path: Path, old: str) -> None:
    path.write_bytes(old.encode())

    text = put(path, tunnel("new"))

    assert text.startswith(old)
    assert text.endswith(NEW)
    assert list(config_file.read(path).configuration.tunnels) == ["new"]


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "tunnels.toml"

    assert put(path, tunnel("new")) == NEW
    assert path.stat().st_mode & 0o777 == 0o600


def test_mode_and_link_stay(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(path.name)

    put(link, tunnel("new"))

    assert link.is_symlink()
    assert path.read_text() == f"{OLD}\n{NEW}"
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link.toml", "tunnels.toml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(path: Path) -> None:
    os.chown(path, 54321, 54322)

    put(path, tunnel("new"))

    assert (path.stat().st_uid, path.stat().st_gid) == (54321, 54322)


def test_a_tunnel_is_replaced_where_it_stood(path: Path) -> None:
    text = put(path, tunnel("db"), tunnel("new", 9001))

    before, _, after = OLD.partition("[tunnels.db]")
    kept = after[after.index("\n# the web") :]
    assert text == "".join(
        [before, NEW.replace("new", "db"), kept, "\n", NEW.replace("9000", "9001")]
    )


def test_the_comments_of_an_import_are_replaced_with_it(path: Path) -> None:
    once = put(path, tunnel("db"))

    assert put(path, tunnel("db")) == once


def test_a_name_with_a_dot_is_replaced_too(path: Path) -> None:
    put(path, tunnel("web.eu"))

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
def test_a_tunnel_that_is_no_table_of_its_own_is_not_touched(path: Path, text: str) -> None:
    path.write_text(text)

    with pytest.raises(ConfigError, match="edit it by hand"):
        put(path, tunnel("db"))

    assert path.read_text() == text


@pytest.mark.parametrize(
    "added",
    [tunnel("clash", 1080), ImportedTunnel("bad", "a test", {"host": "h", "sock": []})],
    ids=lambda added: added.name,
)
def test_a_bad_result_writes_nothing(path: Path, added: ImportedTunnel) -> None:
    before = path.stat()

    with pytest.raises(ConfigError):
        put(path, added)

    assert path.read_text() == OLD
    assert path.stat().st_ino == before.st_ino


def test_an_inline_table_of_tunnels_cannot_be_added_to(path: Path) -> None:
    path.write_text('tunnels = { db = { host = "h", socks = "1" } }\n')

    with pytest.raises(ConfigError):
        put(path, tunnel("new"))


def test_hosts_of_the_file_that_hold_too_are_named(path: Path) -> None:
    path.write_text("[hosts.h]\nport = 22\n")

    assert config_file.hosts_that_hold_too(config_file.read(path), [tunnel("a")]) == ["h"]
