"""The forwards of every kind through Dropbear, as routers run it."""

from __future__ import annotations

import subprocess

from tests.e2e.clients import MEGABYTE, blob, exchange, sha256
from tests.e2e.ports import free_port
from tests.e2e.services import echo, hash_sink, sender, web_page
from tests.e2e.site import Site, tunnel_table
from tests.requirements import require


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
