"""Many hosts whose lookup in ssh_config hangs: a healthy tunnel is not delayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER, tunnel_table
from tests.e2e.services import echo
from tests.faults.background_loop import BackgroundLoop
from tests.faults.expectation import MARGIN
from tests.faults.silent_dns import with_silent_dns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.sandbox import Sandbox

CROWD = 40
"""Each lookup is given up after five seconds. Four at a time, all take longer than MARGIN."""

SLOW = {
    "match": 'Match originalhost slow* exec "sleep 600"\n  User other\n',
    "dns": "Host slow*\n  CanonicalizeHostname yes\n  CanonicalDomains corp.test\n",
}


@pytest.fixture
def background() -> Iterator[BackgroundLoop]:
    with BackgroundLoop() as background:
        yield background


@pytest.mark.parametrize("reason", SLOW)
def test_a_crowd_of_slow_lookups_delays_no_healthy_tunnel(
    sandbox: Sandbox, background: BackgroundLoop, reason: str
) -> None:
    server, port = sandbox.sshd(), free_port()
    ssh_config = sandbox.directory / "ssh_config"
    ssh_config.write_text(
        f"{SLOW[reason]}Host good\n  HostName 127.0.0.1\n  Port {server.port}\n  User {USER}\n"
    )
    program = sandbox.program(
        *(
            tunnel_table(f"slow{number}", f"slow{number}", f'socks = "{free_port()}"')
            for number in range(CROWD)
        ),
        tunnel_table("good", "good", f'local = "{port}:{sandbox.service(echo)}"'),
        head=sandbox.head(f'"{ssh_config}"'),
    )
    if reason == "dns":
        program.command_prefix = with_silent_dns(sandbox, background, hosts="127.0.0.1 localhost\n")
    program.up()

    program.wait_until_up("good", within=MARGIN)
    assert exchange(port, b"data") == b"data"
    program.wait_for("slow0", lambda tunnel: tunnel.failure, within=MARGIN + 10)
    program.succeed("restart", "good")
    program.wait_until_up("good", within=MARGIN)
