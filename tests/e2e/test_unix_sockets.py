"""Unix sockets at either end of a forward, and their files."""

from __future__ import annotations

import socket
import stat
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import exchange, is_listening
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER, Sandbox, tunnel_table
from tests.e2e.services import echo, sender
from tests.e2e.waiting import wait_until
from tests.requirements import require

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.program import Program


def leave_stale_socket(path: Path) -> None:
    """Create a socket file without a listener."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()


@pytest.fixture(scope="module")
def program(sandbox_per_data_path: Sandbox) -> Program:
    """Run forwards between all pairs of TCP and Unix sockets; one socket file is stale."""
    directory = sandbox_per_data_path.directory
    tcp = sandbox_per_data_path.service(echo)
    unix = sandbox_per_data_path.service(echo, at=directory / "target.sock")
    leave_stale_socket(directory / "local-tcp.sock")
    local = [f"{directory}/local-tcp.sock:{tcp}", f"{directory}/local-unix.sock:{unix}"]
    remote = [f"{directory}/remote-tcp.sock:{tcp}", f"{directory}/remote-unix.sock:{unix}"]
    program = sandbox_per_data_path.program(
        tunnel_table(
            "t", sandbox_per_data_path.sshd().port, f"local = {local}", f"remote = {remote}"
        )
    )
    program.up()
    program.wait_until_up()
    return program


@pytest.mark.parametrize("name", ["local-tcp", "local-unix", "remote-tcp", "remote-unix"])
def test_a_socket_file_connects_to_the_target(
    program: Program, sandbox_per_data_path: Sandbox, name: str
) -> None:
    assert program.tunnel("t").state == "up"
    assert exchange(sandbox_per_data_path.directory / f"{name}.sock", b"data") == b"data"


@pytest.mark.parametrize("name", ["local-tcp", "local-unix", "remote-tcp", "remote-unix"])
@pytest.mark.usefixtures("program")
def test_only_the_owner_can_use_a_socket_file(sandbox_per_data_path: Sandbox, name: str) -> None:
    mode = (sandbox_per_data_path.directory / f"{name}.sock").stat().st_mode

    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize(("mask", "mode"), [("0111", 0o666), ("0007", 0o770), ("0177", 0o600)])
def test_the_mask_of_ssh_config_decides_who_can_use_a_socket_file_as_with_ssh(
    sandbox: Sandbox, mask: str, mode: int
) -> None:
    server, directory = sandbox.sshd(), sandbox.directory
    files = [directory / f"{kind}.sock" for kind in ("ssh", "alias", "key")]
    forwards = [f"{file}:127.0.0.1:9" for file in files]
    ssh_config = directory / "ssh_config"
    ssh_config.write_text(
        f"Host box\n  HostName 127.0.0.1\n  Port {server.port}\n  StreamLocalBindMask {mask}\n"
    )
    login = sandbox.ssh(server.port)[3:-2]
    options = ["-F", str(ssh_config), "-N", "-L", forwards[0]]
    sandbox.spawn(require("ssh"), *login, *options, "box")
    key = f'stream_local_bind_mask = "{mask}"'
    program = sandbox.program(
        tunnel_table("alias", "box", f'local = "{forwards[1]}"'),
        tunnel_table("key", server.port, f'local = "{forwards[2]}"', key),
        head=sandbox.head(f'"{ssh_config}"'),
    )
    program.up()
    program.wait_until_up()

    def modes() -> list[int]:
        return [stat.S_IMODE(file.stat().st_mode) if file.exists() else 0 for file in files]

    wait_until(lambda: all(modes()), message="ssh does not listen")
    assert modes() == [mode] * 3
    program.succeed("restart", "alias")
    program.wait_until_up("alias")
    assert modes() == [mode] * 3


@pytest.mark.parametrize("is_live", [True, False])
def test_a_file_in_the_way_is_removed_if_ssh_config_says_so_as_with_ssh(
    sandbox: Sandbox, is_live: bool
) -> None:
    server, directory, target = sandbox.sshd(), sandbox.directory, sandbox.service(echo)
    files = [directory / f"{kind}.sock" for kind in ("ssh", "alias", "key", "kept")]
    for file in files:
        if is_live:
            sandbox.service(sender(b"old"), at=file)
        else:
            file.write_text("old")
    forwards = [f"{file}:{target}" for file in files]
    ssh_config = directory / "ssh_config"
    ssh_config.write_text(
        f"Host box\n  HostName 127.0.0.1\n  Port {server.port}\n  StreamLocalBindUnlink yes\n"
    )
    login = sandbox.ssh(server.port)[3:-2]
    sandbox.spawn(require("ssh"), *login, "-F", str(ssh_config), "-N", "-L", forwards[0], "box")
    program = sandbox.program(
        tunnel_table("alias", "box", f'local = "{forwards[1]}"'),
        tunnel_table(
            "key", server.port, f'local = "{forwards[2]}"', "stream_local_bind_unlink = true"
        ),
        tunnel_table("kept", server.port, f'local = "{forwards[3]}"'),
        head=sandbox.head(f'"{ssh_config}"'),
    )
    program.up()
    program.wait_until_up("alias", "key")
    program.wait_for_state("kept", "degraded", "local_port_busy")

    def leads_to_the_target(file: Path) -> bool:
        return stat.S_ISSOCK(file.stat().st_mode) and exchange(file, b"new") == b"new"

    for file in files[:3]:
        wait_until(partial(leads_to_the_target, file), message=f"{file} was not replaced")
    if is_live:
        assert exchange(files[3], b"") == b"old"
    else:
        assert files[3].read_text() == "old"


def test_a_port_connects_to_a_socket_file_on_either_side(sandbox: Sandbox) -> None:
    local_port, remote_port = free_port(), free_port()
    target = sandbox.service(echo, at=sandbox.directory / "target.sock")
    forwards = [f'local = "{local_port}:{target}"', f'remote = "{remote_port}:{target}"']
    program = sandbox.program(tunnel_table("t", sandbox.sshd().port, *forwards))
    program.up()
    program.wait_until_up()

    assert exchange(local_port, b"local") == b"local"
    assert exchange(remote_port, b"remote") == b"remote"


def test_a_socket_in_use_is_left_alone(sandbox: Sandbox) -> None:
    busy_path = sandbox.directory / "busy.sock"
    owner = sandbox.service(sender(b"other"), at=busy_path)
    forward = f'local = "{busy_path}:{sandbox.service(echo)}"'
    program = sandbox.program(tunnel_table("t", sandbox.sshd().port, forward))
    program.up()

    failed = program.wait_for(
        "t", lambda tunnel: tunnel.failure and tunnel.failure.cause == "local_port_busy"
    )

    assert failed.failure is not None
    assert str(busy_path) in failed.failure.message
    assert exchange(busy_path) == b"other"
    program.succeed("down")
    assert program.wait_for_exit() == 0
    assert exchange(busy_path) == b"other"
    owner.close()


def test_the_socket_file_is_removed_with_the_tunnel(sandbox: Sandbox) -> None:
    path = sandbox.directory / "here.sock"
    forward = f'local = "{path}:{sandbox.service(echo)}"'
    program = sandbox.program(tunnel_table("t", sandbox.sshd().port, forward))
    program.up()
    program.wait_until_up()

    program.succeed("down", "t")
    program.wait_for_state("t", "stopped")

    assert not is_listening(path)
    assert not path.exists()


def test_tokens_and_variables_are_expanded_in_the_paths_of_both_sides(sandbox: Sandbox) -> None:
    directory, server = sandbox.directory, sandbox.sshd()
    tcp = sandbox.service(echo)
    local = f"{directory}/${{TK_NAME}}-%p-%n:{tcp}"
    remote = f"${{TK_DIRECTORY}}/remote-%r-%%:{directory}/${{TK_NAME}}-%p-%n"
    program = sandbox.program(
        tunnel_table("t", server.port, f"local = '{local}'", f"remote = '{remote}'")
    )
    program.environment |= {"TK_NAME": "name", "TK_DIRECTORY": str(directory)}
    program.up()
    program.wait_until_up()

    assert exchange(directory / f"name-{server.port}-127.0.0.1", b"data") == b"data"
    assert exchange(directory / f"remote-{USER}-%", b"data") == b"data"


def test_an_unset_variable_is_a_problem_of_the_config_file(sandbox: Sandbox) -> None:
    program = sandbox.program(tunnel_table("t", 22, "local = '/run/${TK_UNSET}:db:1'"))

    for command in ("check", "up"):
        done = program.run(command)
        assert done.returncode != 0
        message = "tunnels.t.local: the environment has no variable TK_UNSET"
        assert message in done.stdout + done.stderr
        assert f"{program.config}:" in done.stdout + done.stderr
