"""The forwards of every kind through Dropbear, as routers run it."""

from __future__ import annotations

import socket
import subprocess

import pytest

from tests.e2e.clients import MEGABYTE, blob, exchange, sha256
from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.services import echo, hash_sink, sender, web_page
from tests.e2e.site import Site, tunnel_table
from tests.requirements import require
from tunnelkeeper.core.failures import Cause


def test_every_kind_of_forward_works_through_dropbear(site: Site) -> None:
    server = site.dropbear()
    here, there, up, down, socks = (free_port() for _ in range(5))
    path = site.directory / "here.sock"
    service, page = site.service(echo), site.service(web_page("hello"))
    local = [
        f"{here}:{service}",
        f"{up}:{site.service(hash_sink)}",
        f"{down}:{site.service(sender(blob(5 * MEGABYTE)))}",
        f"{path}:{service}",
    ]
    program = site.program(
        tunnel_table(
            "router",
            server.port,
            f"local = {local}",
            f'remote = "{there}:{service}"',
            f'socks = "{socks}"',
        )
    )
    program.up()
    program.wait_until_up()

    assert exchange(here, b"one way") == b"one way"
    assert exchange(there, b"the other") == b"the other"
    assert exchange(path, b"by path") == b"by path"
    assert exchange(up, blob(5 * MEGABYTE)).decode() == sha256(blob(5 * MEGABYTE))
    assert exchange(down) == blob(5 * MEGABYTE)
    proxy = ["--socks5-hostname", f"127.0.0.1:{socks}", f"http://127.0.0.1:{page.port}/"]
    assert subprocess.check_output([require("curl"), "-sS", *proxy]) == b"hello"


def test_a_chain_passes_through_dropbear(site: Site) -> None:
    jump, target, port = site.dropbear(), site.sshd(), free_port()
    program = site.program(
        tunnel_table(
            "t",
            target.port,
            f'jump = "127.0.0.1:{jump.port}"',
            f'local = "{port}:{site.service(echo)}"',
        )
    )
    program.up()
    program.wait_until_up()

    assert exchange(port, b"past the router") == b"past the router"


# -k forbids what listens there, -j also that a connection to the port is made to find out.
@pytest.mark.parametrize("options", [("-k",), ("-j", "-k")])
def test_a_port_that_dropbear_forbids_is_denied(site: Site, options: tuple[str, ...]) -> None:
    server = site.dropbear(*options)
    program = site.program(tunnel_table("t", server.port, f'remote = "{free_port()}:127.0.0.1:9"'))
    program.up()

    program.wait_for_state("t", "degraded", Cause.FORWARD_DENIED)


def test_a_port_that_a_keys_options_forbid_on_dropbear_is_denied(site: Site) -> None:
    site.authorized_keys.write_text(f"no-port-forwarding {public(site.key)}\n")
    server = site.dropbear()
    program = site.program(tunnel_table("t", server.port, f'remote = "{free_port()}:127.0.0.1:9"'))
    program.up()

    program.wait_for_state("t", "degraded", Cause.FORWARD_DENIED)


@pytest.mark.parametrize("options", [(), ("-j",)])
def test_a_port_that_is_held_on_dropbears_machine_is_busy_and_taken_once_it_is_free(
    site: Site, options: tuple[str, ...]
) -> None:
    owner = site.service(sender(b"theirs"))
    server = site.dropbear(*options)
    remote = f'remote = "{owner.port}:{site.service(echo)}"'
    program = site.program(tunnel_table("t", server.port, remote))
    # A listener on 127.0.0.1 alone goes unnoticed: Dropbear is content with ::1 then.
    with socket.create_server(("::1", owner.port), family=socket.AF_INET6):
        program.up()
        program.wait_for_state("t", "degraded", Cause.REMOTE_PORT_BUSY)
        owner.close()

    program.wait_until_up("t", within=30)
    assert exchange(owner.port, b"ours now") == b"ours now"
