"""SOCKS 4, 4a and 5 as curl speaks them, on this side and on the server's."""

from __future__ import annotations

import subprocess
from typing import NamedTuple

import pytest

from tests.e2e.clients import connected, exchange, receive_exactly
from tests.e2e.ports import free_port
from tests.e2e.services import Service, echo, web_page
from tests.e2e.site import Site, tunnel_table
from tests.requirements import require

PROXY_FAILED = 97  # CURLE_PROXY, curl(1) "EXIT CODES"


class Proxies(NamedTuple):
    here: int
    there: int
    web: Service
    echo: Service

    def side(self, name: str) -> int:
        """Return the port of the proxy on that side."""
        return self.here if name == "here" else self.there


@pytest.fixture(scope="module")
def proxies(site_per_data_path: Site) -> Proxies:
    """Run a SOCKS proxy on each side of one connection; the server permits two addresses."""
    here, there = free_port(), free_port()
    server = site_per_data_path.sshd(PermitOpen="127.0.0.1:* localhost:*")
    program = site_per_data_path.program(
        tunnel_table("t", server.port, f'socks = "{here}"', f'remote = "{there}"')
    )
    program.up()
    program.wait_until_up()
    return Proxies(
        here, there, site_per_data_path.service(web_page("hello")), site_per_data_path.service(echo)
    )


def curl(option: str, proxy: int, url: str) -> subprocess.CompletedProcess[str]:
    command = [require("curl"), "--silent", "--show-error", "--max-time", "20"]
    command += [option, f"127.0.0.1:{proxy}", url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("side", ["here", "there"])
@pytest.mark.parametrize(
    ("option", "host"),
    [
        ("--socks4", "127.0.0.1"),
        ("--socks4a", "localhost"),
        ("--socks5", "127.0.0.1"),
        ("--socks5-hostname", "localhost"),
    ],
)
def test_curl_fetches_a_page(proxies: Proxies, side: str, option: str, host: str) -> None:
    done = curl(option, proxies.side(side), f"http://{host}:{proxies.web.port}/")

    assert (done.returncode, done.stdout) == (0, "hello"), done.stderr


@pytest.mark.parametrize("side", ["here", "there"])
@pytest.mark.parametrize(
    ("option", "reply"),
    [("--socks4", "(91)"), ("--socks5", "(5)"), ("--socks5-hostname", "(5)")],
)
def test_a_refused_target_is_reported_as_refused(
    proxies: Proxies, side: str, option: str, reply: str
) -> None:
    """0x5b of SOCKS4, and "connection refused" of RFC 1928 section 6."""
    done = curl(option, proxies.side(side), f"http://127.0.0.1:{free_port()}/")

    assert done.returncode == PROXY_FAILED
    assert reply in done.stderr


def test_a_target_that_the_server_forbids_is_reported_as_forbidden(proxies: Proxies) -> None:
    """RFC 1928 section 6: "connection not allowed by ruleset"."""
    done = curl("--socks5", proxies.here, "http://127.0.0.9:80/")

    assert done.returncode == PROXY_FAILED
    assert "(2)" in done.stderr


@pytest.mark.parametrize("side", ["here", "there"])
@pytest.mark.parametrize(
    ("request_bytes", "reply"),
    [
        pytest.param(b"\5\1\2", b"\5\xff", id="no method but a password"),
        pytest.param(b"\5\1\0" + b"\5\2\0\1\x7f\0\0\1\0\7", b"\5\0\5\7", id="BIND"),
        pytest.param(b"\5\1\0" + b"\5\3\0\1\x7f\0\0\1\0\7", b"\5\0\5\7", id="UDP ASSOCIATE"),
        pytest.param(b"\5\1\0" + b"\5\1\0\2\x7f\0\0\1\0\7", b"\5\0\5\x08", id="address type 2"),
        pytest.param(b"\4\2\0\7\x7f\0\0\1\0", b"\0\x5b", id="SOCKS4 BIND"),
    ],
)
def test_what_is_not_offered_is_answered(
    proxies: Proxies, side: str, request_bytes: bytes, reply: bytes
) -> None:
    assert exchange(proxies.side(side), request_bytes).startswith(reply)


@pytest.mark.parametrize("side", ["here", "there"])
def test_a_client_that_talks_before_the_answer_loses_nothing(proxies: Proxies, side: str) -> None:
    target = b"\x7f\0\0\1" + proxies.echo.port.to_bytes(2)
    hasty = b"\5\1\0" + b"\5\1\0\1" + target + b"early"

    with connected(proxies.side(side)) as client:
        client.sendall(hasty)
        answer = receive_exactly(client, 2 + 10 + 5)

    assert answer[:4] == b"\5\0\5\0"
    assert answer[-5:] == b"early"
