"""RekeyLimit: keys are renegotiated as often as with ssh, and no byte is lost."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.e2e.autossh_program import own_autossh, ssh_config
from tests.e2e.clients import MEGABYTE, blob, connected, exchange, is_listening, receive_all, sha256
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, tunnel_table
from tests.e2e.services import hash_sink, sender
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.sshd import Sshd

SIZE = 8 * MEGABYTE


def key_exchanges(server: Sshd) -> int:
    return server.log().count("SSH2_MSG_KEXINIT received")


@pytest.mark.parametrize("direction", ["down", "up"])
def test_keys_are_renegotiated_at_the_limit_in_either_direction(
    sandbox: Sandbox, direction: str
) -> None:
    data = blob(SIZE)
    service = sandbox.service(sender(data) if direction == "down" else hash_sink)
    counts = []
    for start in (with_ssh, with_tunnelkeeper, with_autossh):
        server, port = sandbox.sshd(), free_port()
        start(sandbox, server, f"{port}:{service}")
        wait_until(partial(is_listening, port), message="the forward does not listen")
        before = key_exchanges(server)
        if direction == "down":
            with connected(port) as client:
                assert sha256(receive_all(client)) == sha256(data)
        else:
            assert exchange(port, data).decode() == sha256(data)
        counts.append(key_exchanges(server) - before)

    # ssh looks at the limit less often while it receives.
    ssh, *ours = counts
    limit = SIZE // MEGABYTE
    assert all(limit // 2 <= count <= 2 * limit for count in ours), counts
    assert ssh >= 2, counts


def with_ssh(sandbox: Sandbox, server: Sshd, forward: str) -> None:
    options = ["-N", "-o", "RekeyLimit=1M", "-L", forward, "127.0.0.1"]
    sandbox.spawn(*sandbox.ssh(server.port, *options))


def with_tunnelkeeper(sandbox: Sandbox, server: Sshd, forward: str) -> None:
    program = sandbox.program(
        tunnel_table("t", server.port, f'local = "{forward}"', 'rekey_limit = "1M"')
    )
    program.up()
    program.wait_until_up()


def with_autossh(sandbox: Sandbox, server: Sshd, forward: str) -> None:
    config = str(ssh_config(sandbox, server))
    options = ["-M", "0", "-N", "-F", config, "-o", "RekeyLimit=1M", "-L", forward, "box"]
    sandbox.spawn(str(own_autossh(sandbox.directory)), *options)
