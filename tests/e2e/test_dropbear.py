"""All kinds of forwards through Dropbear, the server of many routers."""

from __future__ import annotations

import socket
import subprocess

import pytest

from tests.e2e.clients import MEGABYTE, blob, exchange, sha256
from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, tunnel_table
from tests.e2e.services import echo, hash_sink, sender, web_page
from tests.requirements import require
from tunnelkeeper.core.failures import Cause


def test_every_kind_of_forward_works_through_dropbear(sandbox: Sandbox) -> None:
    server = sandbox.dropbear()
    local_port, remote_port, upload, download, socks = (free_port() for _ in range(5))
    path = sandbox.directory / "here.sock"
    service, page = sandbox.service(echo), sandbox.service(web_page("hello"))
    local = [
        f"{local_port}:{service}",
        f"{upload}:{sandbox.service(hash_sink)}",
        f"{download}:{sandbox.service(sender(blob(5 * MEGABYTE)))}",
        f"{path}:{service}",
    ]
    program = sandbox.program(
        tunnel_table(
            "router",
            server.port,
            f"local = {local}",
            f'remote = "{remote_port}:{service}"',
            f'socks = "{socks}"',
        )
    )
    program.up()
    program.wait_until_up()

    assert exchange(local_port, b"local") == b"local"
    assert exchange(remote_port, b"remote") == b"remote"
    assert exchange(path, b"socket") == b"socket"
    assert exchange(upload, blob(5 * MEGABYTE)).decode() == sha256(blob(5 * MEGABYTE))
    assert exchange(download) == blob(5 * MEGABYTE)
    proxy = ["--socks5-hostname", f"127.0.0.1:{socks}", f"http://127.0.0.1:{page.port}/"]
    assert subprocess.check_output([require("curl"), "-sS", *proxy]) == b"hello"


def test_dropbear_works_as_a_jump_host(sandbox: Sandbox) -> None:
    jump, target, port = sandbox.dropbear(), sandbox.sshd(), free_port()
    program = sandbox.program(
        tunnel_table(
            "t",
            target.port,
            f'jump = "127.0.0.1:{jump.port}"',
            f'local = "{port}:{sandbox.service(echo)}"',
        )
    )
    program.up()
    program.wait_until_up()

    assert exchange(port, b"data") == b"data"


# -k forbids remote forwards; -j also forbids the connection that tests whether the port is in use.
@pytest.mark.parametrize("options", [("-k",), ("-j", "-k")])
def test_a_port_that_dropbear_forbids_is_denied(sandbox: Sandbox, options: tuple[str, ...]) -> None:
    server = sandbox.dropbear(*options)
    program = sandbox.program(
        tunnel_table("t", server.port, f'remote = "{free_port()}:127.0.0.1:9"')
    )
    program.up()

    program.wait_for_state("t", "degraded", Cause.FORWARD_DENIED)


def test_a_port_that_key_options_on_dropbear_forbid_is_denied(sandbox: Sandbox) -> None:
    sandbox.authorized_keys.write_text(f"no-port-forwarding {public(sandbox.key)}\n")
    server = sandbox.dropbear()
    program = sandbox.program(
        tunnel_table("t", server.port, f'remote = "{free_port()}:127.0.0.1:9"')
    )
    program.up()

    program.wait_for_state("t", "degraded", Cause.FORWARD_DENIED)


@pytest.mark.parametrize("options", [(), ("-j",)])
def test_a_port_in_use_on_dropbear_is_busy_and_bound_once_it_is_free(
    sandbox: Sandbox, options: tuple[str, ...]
) -> None:
    owner = sandbox.service(sender(b"theirs"))
    server = sandbox.dropbear(*options)
    remote = f'remote = "{owner.port}:{sandbox.service(echo)}"'
    program = sandbox.program(tunnel_table("t", server.port, remote))
    # With a listener on 127.0.0.1 alone, Dropbear would report success for ::1.
    with socket.create_server(("::1", owner.port), family=socket.AF_INET6):
        program.up()
        program.wait_for_state("t", "degraded", Cause.REMOTE_PORT_BUSY)
        owner.close()

    program.wait_until_up("t", within=30)
    assert exchange(owner.port, b"ours now") == b"ours now"
