"""`tunnelkeeper add` and `remove`: the file, the messages, and the supervisor that reloads."""

from __future__ import annotations

import threading
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import REFUSED, RunningServer, a_tunnel
from tunnelkeeper.cli import config_change, up
from tunnelkeeper.config import load
from tunnelkeeper.config.starter import HEADER
from tunnelkeeper.core.message import Message

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Tool
    from tunnelkeeper.core.snapshot import TunnelSnapshot

OLD = """\
# My tunnels.

# The web.
[tunnels.web]   # by hand
host = "relay"
socks = 1080
"""


@pytest.fixture
def own_server(tool: Tool, server: RunningServer) -> RunningServer:
    """Run a fake supervisor that uses the tool's config file."""
    server.fake.config = str(tool.config)
    return server


# -- adding ----------------------------------------------------------------------------------------


def test_the_first_tunnel_creates_the_file(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tool.home / "new" / "tunnels.toml"
    monkeypatch.setenv("TUNNELKEEPER_CONFIG", str(path))

    done = tool("add", "db", "me@relay", "-L", "5432:db:5432", "port=2222", "-R", "1081")

    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"added db to {path}, a new file\n"
        "no supervisor uses the file\n  hint: tunnelkeeper up --detach\n"
    )
    assert path.read_text() == HEADER + (
        '\n[tunnels.db]\nhost = "me@relay"\nlocal = ["5432:db:5432"]\nremote = ["1081"]\n'
        "port = 2222\n"
    )
    assert path.stat().st_mode & 0o777 == 0o600
    assert load(path).tunnels["db"].options.port == (2222,)


def test_the_text_of_the_file_is_kept(tool: Tool) -> None:
    tool.config.write_text(OLD)

    assert tool("add", "db", "relay", "-D", "1081").code == 0

    assert tool.config.read_text() == (f'{OLD}\n[tunnels.db]\nhost = "relay"\nsocks = ["1081"]\n')


def test_the_name_of_an_open_tunnel_with_other_settings_is_refused_before_writing(
    tool: Tool, own_server: RunningServer
) -> None:
    tool.config.write_text(OLD)
    own_server.fake.tables["db"] = {"host": "relay", "local": "5432:db:5432"}

    done = tool("add", "db", "relay", "-L", "5433:db:5432")

    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "tunnelkeeper: an ad-hoc tunnel db is open, and has other settings\n"
        "  hint: tunnelkeeper stop db\n"
    )
    assert tool.config.read_text() == OLD
    assert tool("add", "db", "relay", "-L", "5432:db:5432").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("web", "relay"), "has a tunnel web already\n  hint: choose another name"),
        (("db", "relay", "prot=22"), "prot=22: unknown key\n  hint: did you mean 'port'?"),
        (("db", "relay", "-L", "5432"), "-L 5432: expected [bind_address:]port:host:hostport"),
        (("a b", "relay"), "NAME: expected a name of at most 64 letters"),
        (
            ("db", "relay", "-D", "1080"),
            "tunnels.db.socks: listens on localhost:1080, where tunnels.web.socks listens already",
        ),
        (("db", "me@relay", "user=you"), "tunnels.db.user: the host 'me@relay' names a user"),
        (
            ("db", "relay", "-p", "22"),
            "ssh's option -p is not an option here\n  hint: write port=PORT",
        ),
        (("-N", "db", "relay"), "ssh's option -N is not an option here\n  hint: leave it out"),
        (("db", "relay", "--grup", "x"), "no such option '--grup'"),
        (("db",), "add: HOST is missing"),
    ],
)
def test_what_is_not_valid_is_refused_and_nothing_is_written(
    tool: Tool, words: tuple[str, ...], message: str
) -> None:
    tool.config.write_text(OLD)
    before = tool.config.stat()

    done = tool("add", *words)

    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert tool.config.stat() == before


def test_a_file_with_problems_is_left_alone(tool: Tool) -> None:
    tool.config.write_text("[tunnels.web]\nhots = 1\n")

    done = tool("add", "db", "relay")

    assert done.code == 2
    assert (
        f"{tool.config}:2: tunnels.web.hots: unknown key\n  hint: did you mean 'host'?" in done.err
    )
    assert "nothing was changed\n  hint: tunnelkeeper edit\n" in done.err


def test_a_file_that_others_can_write_is_refused_as_by_the_supervisor(tool: Tool) -> None:
    tool.config.write_text(OLD)
    tool.config.chmod(0o666)

    done = tool("add", "db", "relay")

    assert done.code == 2
    assert "can be written by others (mode 0666)\n  hint: chmod go-w" in done.err
    assert tool.config.read_text() == OLD


def test_no_file_is_created_in_a_folder_that_others_can_write_to(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tool.home / "open"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("TUNNELKEEPER_CONFIG", str(folder / "tunnels.toml"))

    done = tool("add", "db", "relay", "-D", "1")
    assert done.code == 2
    assert "can be written by others (mode 0777)" in done.err
    assert list(folder.iterdir()) == []


def test_an_inline_table_of_tunnels_cannot_be_added_to(tool: Tool) -> None:
    tool.config.write_text('tunnels = { web = { host = "relay" } }\n')

    done = tool("add", "db", "relay")

    assert done.code == 2
    assert "nothing was changed" in done.err


def test_a_tunnel_without_a_forward_is_a_warning(tool: Tool) -> None:
    done = tool("add", "db", "relay")

    assert done.code == 0
    assert "forwards nothing and only holds its connection" in done.err


def test_a_table_of_the_host_is_named_if_it_applies_too(tool: Tool) -> None:
    tool.config.write_text("[hosts.relay]\nport = 2222\n")

    assert "[hosts.relay] applies" in tool("add", "db", "me@relay", "-D", "1").err
    assert tool("add", "web", "relay", "-D", "2").err == ""


def test_a_relative_path_is_relative_to_the_current_folder(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "id").touch()
    monkeypatch.chdir(tmp_path)

    tool("add", "db", "relay", "-D", "1", "identity_files=id", "known_hosts=missing")

    table = tomllib.loads(tool.config.read_text())["tunnels"]["db"]
    assert table["identity_files"] == str(tmp_path / "id")
    assert table["known_hosts"] == "missing"


def test_commands_that_change_the_file_take_turns(tool: Tool) -> None:
    has_read, may_write = threading.Event(), threading.Event()

    def change_slowly() -> None:
        with config_change.changing(tool.config):
            has_read.set()
            may_write.wait(30)
            tool.config.write_text(OLD)

    thread = threading.Thread(target=change_slowly)
    thread.start()
    assert has_read.wait(30)
    other = threading.Thread(target=lambda: tool("add", "db", "relay", "-D", "1"))
    other.start()
    may_write.set()
    thread.join(30)
    other.join(30)

    assert list(load(tool.config).tunnels) == ["web", "db"]


# -- the supervisor --------------------------------------------------------------------------------


def test_a_supervisor_of_the_file_reloads_it(tool: Tool, own_server: RunningServer) -> None:
    own_server.fake.tunnels["new"] = a_tunnel("new")
    done = tool("add", "new", "relay", "-D", "1")

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[1] == (
        "the running supervisor has reloaded the file: db: a forward was added"
    )


def test_a_tunnel_that_stays_stopped_is_named_with_the_command_that_starts_it(
    tool: Tool, own_server: RunningServer
) -> None:
    own_server.fake.tunnels["new"] = a_tunnel("new", "stopped", wanted=False)

    added = tool("add", "new", "relay", "-D", "1")

    assert "new is stopped\n  hint: tunnelkeeper up new\n" in added.out


@pytest.mark.usefixtures("server")
def test_a_supervisor_of_another_file_is_left_alone(tool: Tool) -> None:
    assert "no supervisor uses the file" in tool("add", "new", "relay", "-D", "1").out

    done = tool("add", "db", "relay", "-D", "2", "--up")
    assert done.code == 1
    assert "a supervisor is running already with /etc/tunnels.toml" in done.err
    assert list(load(tool.config).tunnels) == ["new"]


def test_a_reload_that_fails_is_reported(tool: Tool, own_server: RunningServer) -> None:
    own_server.fake.problems = [Message("tunnels.toml:1: bad")]
    done = tool("add", "new", "relay", "-D", "1")

    assert done.code == 1
    assert "the supervisor has not reloaded it: the config file has problems" in done.err
    assert "tunnels.toml:1: bad" in done.err


def test_up_starts_the_tunnel_and_waits_for_it(tool: Tool, own_server: RunningServer) -> None:
    own_server.fake.tunnels["new"] = a_tunnel("new", "blocked", failure=REFUSED)
    done = tool("add", "new", "relay", "-D", "1", "--up")

    assert own_server.fake.requests == [("start", ["new"], None)]
    assert done.code == 1
    assert "new: blocked: refused" in done.err


@pytest.mark.parametrize(
    ("old", "words", "names"),
    [("", (), ()), (OLD, (), ("db",)), ("", ("autostart=false",), ("db",))],
)
def test_up_starts_a_supervisor_in_the_background(
    tool: Tool,
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    words: tuple[str, ...],
    names: tuple[str, ...],
) -> None:
    started: list[tuple[str, ...]] = []

    def start(
        _settings: object,
        names: tuple[str, ...],
        _group: object,
        _deadline: object,
        *,
        asks: bool,
    ) -> dict[str, TunnelSnapshot]:
        started.append(names)
        assert asks
        return {"db": a_tunnel()}

    monkeypatch.setattr(up, "start_in_background", start)
    if old:
        tool.config.write_text(old)

    assert tool("add", "db", "relay", "-D", "1", "--up", *words).code == 0
    assert started == [names]


# -- removing --------------------------------------------------------------------------------------


def test_tunnels_are_removed_with_their_comments(tool: Tool) -> None:
    tool.config.write_text(f'{OLD}\n[tunnels.eu-1]\nhost = "a"\n[tunnels.eu-2]\nhost = "b"\n')

    done = tool("remove", "web", "eu-*")

    assert (done.code, done.err) == (0, "")
    assert done.out == f"removed web, eu-1, eu-2 from {tool.config}\n"
    assert tool.config.read_text() == "# My tunnels.\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("web", "wbe"), "it has no tunnel 'wbe'\n  hint: tunnelkeeper remove web\n"),
        (("eu-*",), "no tunnel matches 'eu-*'"),
    ],
)
def test_an_unknown_name_removes_nothing(tool: Tool, words: tuple[str, ...], message: str) -> None:
    tool.config.write_text(OLD)
    done = tool("remove", *words)

    assert (done.code, done.out) == (4, "")
    assert message in done.err
    assert tool.config.read_text() == OLD


def test_nothing_can_be_removed_from_a_file_that_does_not_exist(tool: Tool) -> None:
    done = tool("remove", "web")

    assert done.code == 4
    assert "no such file, so there is no tunnel to remove" in done.err
    assert not tool.config.exists()


def test_a_tunnel_that_another_one_uses_is_reported(tool: Tool) -> None:
    tool.config.write_text(
        '[tunnels.a]\nhost = "h"\nlocal = "2222:box:22"\n[tunnels.b]\nhost = "localhost:2222"\n'
    )
    done = tool("remove", "a")

    assert (done.code, list(load(tool.config).tunnels)) == (0, ["b"])
    assert done.err == "warning: b connects to localhost:2222, where a listened\n"


def test_a_table_of_a_host_that_no_tunnel_uses_now_is_named(tool: Tool) -> None:
    tool.config.write_text('[hosts.relay]\nport = 22\n[tunnels.a]\nhost = "relay"\n')

    assert tool("remove", "a").out.endswith("\nno tunnel uses [hosts.relay] now\n")


def test_a_tunnel_inside_an_inline_table_has_to_be_edited(tool: Tool) -> None:
    tool.config.write_text('tunnels = { web = { host = "relay" } }\n')
    done = tool("remove", "web")

    assert done.code == 1
    assert "inside an inline table, so it cannot be removed here" in done.err


def test_a_supervisor_of_the_file_reloads_it_after_a_removal(
    tool: Tool, own_server: RunningServer
) -> None:
    tool.config.write_text(OLD)
    assert own_server.path.exists()

    assert "the running supervisor has reloaded the file" in tool("remove", "web").out


def test_a_link_and_the_mode_of_the_file_are_kept(tool: Tool, tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text(OLD)
    real.chmod(0o640)
    tool.config.symlink_to("real.toml")

    assert tool("remove", "web").code == 0
    assert tool.config.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
