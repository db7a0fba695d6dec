"""A server without a common algorithm: its list comes first, and the hint is a line that helps."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.e2e.keys import make_key, public
from tests.e2e.sandbox import Sandbox, socks_tunnel
from tunnelkeeper.core.algorithms import KEY_EXCHANGES

OLD_SERVERS = {
    "kex_algorithms": {"KexAlgorithms": "diffie-hellman-group1-sha1"},
    "ciphers": {"Ciphers": "3des-cbc,aes128-cbc"},
    "macs": {"Ciphers": "aes128-ctr", "MACs": "hmac-md5-96,hmac-sha1-96"},
}
"""Options of sshd that leave only algorithms that no client offers by default."""

CONFIG_LINE = re.compile(r'set (\w+ = "\+[^"]+") for this host, or (\w+ \+\S+) in ssh_config')


@pytest.mark.parametrize("key", OLD_SERVERS)
def test_the_servers_algorithms_are_shown_as_ssh_shows_them(sandbox: Sandbox, key: str) -> None:
    server = sandbox.sshd(known=True, **OLD_SERVERS[key])
    program = sandbox.program(socks_tunnel("old", server.port))
    program.up()
    blocked = program.wait_for_state("old", "blocked", "key_exchange")
    ssh = [part.replace("=ERROR", "=INFO") for part in sandbox.ssh(server.port, "127.0.0.1")]
    by_ssh = subprocess.run(ssh, capture_output=True, text=True, check=False)

    assert blocked.failure is not None
    _, _, with_extension = by_ssh.stderr.strip().partition("Their offer: ")
    offer = with_extension.removesuffix(",kex-strict-s-v00@openssh.com")
    assert offer
    assert blocked.failure.message.endswith(f"the server offers {offer}")
    for command in (["status", "old"], ["status", "--json"], ["logs", "old"]):
        assert offer in program.run(*command).stdout
    assert f"old:   hint: {blocked.failure.hint}\n" in program.log()


@pytest.mark.parametrize("key", OLD_SERVERS)
def test_the_line_of_the_hint_brings_the_tunnel_up(sandbox: Sandbox, key: str) -> None:
    server = sandbox.sshd(known=True, **OLD_SERVERS[key])
    table = socks_tunnel("old", server.port)
    program = sandbox.program(table)
    program.up()
    blocked = program.wait_for_state("old", "blocked", "key_exchange")

    assert blocked.failure is not None
    found = CONFIG_LINE.search(blocked.failure.hint)
    assert found is not None
    assert found[1].startswith(f"{key} = ")
    program.write_config(sandbox.config(table.rstrip() + f"\n{found[1]}\n"))
    program.succeed("reload")
    program.wait_until_up("old")
    assert "Warning" not in program.log()


@pytest.mark.parametrize("key", OLD_SERVERS)
def test_the_line_of_the_hint_works_in_ssh_config(sandbox: Sandbox, key: str) -> None:
    server = sandbox.sshd(known=True, **OLD_SERVERS[key])
    ssh_config = sandbox.directory / "ssh_config"
    alias = f"Host old\n  HostName 127.0.0.1\n  Port {server.port}\n  IdentityFile {sandbox.key}\n"
    ssh_config.write_text(alias)
    table = socks_tunnel("old", "old")
    program = sandbox.program(table, head=sandbox.head(f'"{ssh_config}"'))
    program.up()
    blocked = program.wait_for_state("old", "blocked", "key_exchange")

    assert blocked.failure is not None
    found = CONFIG_LINE.search(blocked.failure.hint)
    assert found is not None
    ssh_config.write_text(f"{alias}  {found[2]}\n")
    program.succeed("reload")
    program.wait_until_up("old")


def test_a_host_key_type_that_is_not_requested_is_named(sandbox: Sandbox) -> None:
    key = make_key(sandbox.directory / "ecdsa", "ecdsa")
    server = sandbox.sshd(known=False, HostKey=str(key))
    sandbox.add_known_host(f"[127.0.0.1]:{server.port}", public(key))
    table = socks_tunnel("t", server.port, 'host_key_algorithms = "ssh-ed25519"')
    program = sandbox.program(table)
    program.up()

    blocked = program.wait_for_state("t", "blocked", "key_exchange")

    assert blocked.failure is not None
    assert blocked.failure.message == (
        "no common host key algorithm; the server offers ecdsa-sha2-nistp256"
    )
    found = CONFIG_LINE.search(blocked.failure.hint)
    assert found is not None
    program.write_config(
        sandbox.config(table.replace('host_key_algorithms = "ssh-ed25519"', found[1]))
    )
    program.succeed("reload")
    program.wait_until_up("t")


def test_the_full_lists_are_in_the_json(sandbox: Sandbox) -> None:
    server = sandbox.sshd(known=True, **OLD_SERVERS["kex_algorithms"])
    program = sandbox.program(socks_tunnel("old", server.port))
    program.up()
    program.wait_for_state("old", "blocked", "key_exchange")

    [tunnel] = json.loads(program.run("status", "--json").stdout)["tunnels"]

    assert tunnel["failure"]["hint"].endswith(KEY_EXCHANGES[-1])
    assert "curve25519-sha256" in tunnel["failure"]["hint"]
