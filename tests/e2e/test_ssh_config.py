"""Hosts of ssh_config(5), proxy commands, and several ports in order."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.clients import connected, exchange, is_listening
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER, Sandbox, socks_tunnel, tunnel_table
from tests.e2e.server_process import is_running
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.forwarding.socks_client import socks5_name
from tests.requirements import require

if TYPE_CHECKING:
    from tests.e2e.program import Program


def proxy_command(script: str) -> str:
    """Return the config line for a script; ssh runs `exec COMMAND`, so it must be one command."""
    return f"""proxy_command = "sh -c '{script}'\""""


def test_include_match_and_proxyjump_work_as_in_ssh(sandbox: Sandbox) -> None:
    jump, target = sandbox.sshd(), sandbox.sshd()
    port = free_port()
    (sandbox.directory / "hosts.conf").write_text(
        f"Host bastion\n  HostName 127.0.0.1\n  Port {jump.port}\n"
        f"Match originalhost inner exec true\n  HostName 127.0.0.1\n  Port {target.port}\n"
    )
    ssh_config = sandbox.directory / "ssh_config"
    ssh_config.write_text(
        f"Include {sandbox.directory}/*.conf\n"
        f"Host inner\n  ProxyJump bastion\n"
        f"Match all\n  User {USER}\n  IdentityFile {sandbox.key}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {sandbox.known_hosts}\n"
    )
    program = sandbox.program(
        tunnel_table("t", "inner", f'local = "{port}:{sandbox.service(echo)}"'),
        head=f'[supervisor]\nssh_config = "{ssh_config}"\n\n',
    )
    assert program.succeed("check") == ""
    program.up()
    program.wait_until_up()

    assert exchange(port, b"data") == b"data"
    assert jump.logins() == 1
    assert target.logins() == 1
    assert program.tunnel("t").host == f"{USER}@127.0.0.1:{target.port}"


def test_another_host_name_keeps_the_rest_of_the_alias(sandbox: Sandbox) -> None:
    server, port = sandbox.sshd(), free_port()
    ssh_config = sandbox.directory / "ssh_config"
    ssh_config.write_text(
        f"Host box\n  HostName unreachable.invalid\n  Port {server.port}\n  User {USER}\n"
        f"  IdentityFile {sandbox.key}\n  UserKnownHostsFile {sandbox.known_hosts}\n"
        "  ProxyCommand false\n"
    )
    keys = 'hostname = "127.0.0.1"\njump = "none"'
    program = sandbox.program(
        tunnel_table("t", "box", keys, f'local = "{port}:{sandbox.service(echo)}"'),
        head=f'[supervisor]\nssh_config = "{ssh_config}"\n\n',
    )
    assert program.succeed("check") == ""
    program.up()
    program.wait_until_up()

    assert exchange(port, b"data") == b"data"


def test_permit_remote_open_limits_a_socks_proxy_on_the_server_as_with_ssh(
    sandbox: Sandbox,
) -> None:
    server, service = sandbox.sshd(), sandbox.service(echo)
    host, port = str(service).rsplit(":", 1)
    rules = {
        "any": {host, "localhost"},
        "none": set(),
        f"{host}:{port}": {host},
        f"*:{port}": {host, "localhost"},
        f"localhost:* {host}:1": {"localhost"},
        f"{host}:1 *:2": set(),
    }
    with_ssh = [free_port() for _ in rules]
    ours = [free_port() for _ in rules]
    ssh_config = sandbox.directory / "ssh_config"
    ssh_config.write_text(
        "".join(f"Host h{n}\n  PermitRemoteOpen {rule}\n" for n, rule in enumerate(rules))
        + f"Match all\n  HostName 127.0.0.1\n  Port {server.port}\n"
    )
    for n, remote in enumerate(with_ssh):
        options = ["-F", str(ssh_config), "-N", "-R", str(remote), f"h{n}"]
        login = sandbox.ssh(server.port)[3:-2]
        sandbox.spawn(require("ssh"), *login, *options)
    program = sandbox.program(
        *(tunnel_table(f"t{n}", f"h{n}", f'remote = "{remote}"') for n, remote in enumerate(ours)),
        head=sandbox.head(f'"{ssh_config}"'),
    )
    program.up()
    program.wait_until_up()
    for remote in with_ssh:
        wait_until(partial(is_listening, remote), message="ssh does not listen")

    def reached(proxy: int) -> set[str]:
        names = {host, "localhost"}
        return {name for name in names if is_granted(proxy, name, int(port))}

    assert [reached(proxy) for proxy in with_ssh] == list(rules.values())
    assert [reached(proxy) for proxy in ours] == list(rules.values())
    assert "not permitted by permit_remote_open (PermitRemoteOpen)" in program.succeed("logs", "t1")


def is_granted(proxy: int, name: str, port: int) -> bool:
    """Return whether a SOCKS5 proxy connects to a target."""
    with connected(proxy) as client:
        client.sendall(b"\5\1\0" + socks5_name(name.encode(), port))
        replies = client.recv(2) + client.recv(4)
    return replies == b"\5\0\5\0\0\1"


PROXIES = ("ncat", "ssh", "pipe")


def start_through_a_proxy(sandbox: Sandbox, proxy: str) -> tuple[Program, int]:
    """Start a tunnel through a real proxy command. Return it and the port of its forward."""
    port, server, ncat = free_port(), sandbox.sshd(), require("ncat")
    ssh = shlex.join([*sandbox.ssh(sandbox.sshd().port), "-W", "%h:%p", f"{USER}@127.0.0.1"])
    script = {"ncat": f"exec {ncat} %h %p", "ssh": ssh, "pipe": f"{ncat} %h %p | cat"}[proxy]
    program = sandbox.program(
        tunnel_table(
            "t",
            server.port,
            proxy_command(f"echo warming up >&2; {script}"),
            f'local = "{port}:{sandbox.service(echo)}"',
        )
    )
    program.up()
    program.wait_until_up()
    return program, port


def descendants(program: Program) -> list[psutil.Process]:
    return psutil.Process(program.status().supervisor.pid).children(recursive=True)


def test_forwards_that_ssh_config_forbids_are_refused(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    ssh_config = sandbox.directory / "ssh_config"
    ssh_config.write_text(
        f"Match all\n  HostName 127.0.0.1\n  Port {server.port}\nHost box\n"
        "  ClearAllForwardings yes\n"
    )
    program = sandbox.program(
        tunnel_table("t", "box", f'socks = "{free_port()}"'),
        tunnel_table("no-forwards", "box"),
        tunnel_table("behind", "other", 'jump = "box"', f'socks = "{free_port()}"'),
        head=sandbox.head(f'"{ssh_config}"'),
    )
    program.up()
    blocked = program.wait_for_state("t", "blocked", "ssh_config")
    assert blocked.failure is not None
    assert "ClearAllForwardings" in blocked.failure.message
    assert "ClearAllForwardings" in program.run("check").stderr
    program.wait_until_up("no-forwards", "behind")


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_command_carries_the_connection_and_ends_with_the_tunnel(
    sandbox: Sandbox, proxy: str
) -> None:
    program, port = start_through_a_proxy(sandbox, proxy)
    proxies = [child for child in descendants(program) if child.name() in {"ncat", "ssh", "cat"}]

    assert exchange(port, b"data") == b"data"
    assert proxies
    assert "warming up" in program.succeed("logs", "t")
    program.succeed("down", "t")
    wait_until(lambda: not any(map(is_running, proxies)), message="the proxy command still runs")


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_proxy_command_ends_with_the_supervisor(
    sandbox: Sandbox, proxy: str, number: signal.Signals
) -> None:
    program, _ = start_through_a_proxy(sandbox, proxy)
    children = descendants(program)

    program.stop(number)

    wait_until(lambda: not any(map(is_running, children)), message="a child still runs")


def test_a_proxy_command_gets_the_signals_that_ssh_gives_it(sandbox: Sandbox) -> None:
    report = sandbox.directory / "report"
    grep = 'grep "^Sig\\(Ign\\|Blk\\)" /proc/self/status'
    # Whole, because the next attempt may write it while it is read.
    command = f"sh -c '{grep} > {report}.new; mv {report}.new {report}; exit 1'"
    ssh = sandbox.ssh(1, "-o", f"ProxyCommand={command}", f"{USER}@127.0.0.1")
    subprocess.run(ssh, capture_output=True, check=False)
    expected = report.read_text()
    report.unlink()
    program = sandbox.program(socks_tunnel("t", 1, f"proxy_command = {json.dumps(command)}"))

    program.up()
    program.wait_for_state("t", "backoff", "proxy")

    assert report.read_text() == expected


def test_a_failed_proxy_command_is_reported_with_its_output(sandbox: Sandbox) -> None:
    command = "echo no route >&2; exit 7"
    program = sandbox.program(socks_tunnel("t", sandbox.sshd().port, proxy_command(command)))
    program.up()

    failed = program.wait_for_state("t", "backoff", "proxy")

    assert failed.failure is not None
    assert "no route" in failed.failure.message
    assert "7" in failed.failure.message


def test_ports_are_tried_in_the_order_given(sandbox: Sandbox) -> None:
    server, port = sandbox.sshd(), free_port()
    closed = free_port()
    program = sandbox.program(
        f'[hosts.relay]\nhostname = "127.0.0.1"\nport = [{closed}, {server.port}]\n',
        tunnel_table("t", "relay", f'local = "{port}:{sandbox.service(echo)}"'),
    )
    program.up()
    program.wait_until_up()

    assert exchange(port, b"data") == b"data"
    assert server.logins() == 1
