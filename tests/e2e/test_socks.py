"""SOCKS 4, 4a and 5 with curl, on local and remote ports."""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

import pytest

from tests.e2e.clients import connected, exchange, receive_exactly
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, tunnel_table
from tests.e2e.services import Service, echo, web_page
from tests.requirements import require

PROXY_FAILED = 97  # CURLE_PROXY, curl(1) "EXIT CODES"


class Proxies(NamedTuple):
    local: int
    remote: int
    web: Service
    echo: Service

    def port(self, side: str) -> int:
        """Return the port of the proxy on a side."""
        return self.local if side == "local" else self.remote


@pytest.fixture(scope="module")
def proxies(sandbox_per_data_path: Sandbox) -> Proxies:
    """Run a local and a remote SOCKS proxy on one connection; the server permits two hosts."""
    local, remote = free_port(), free_port()
    server = sandbox_per_data_path.sshd(PermitOpen="127.0.0.1:* localhost:*")
    program = sandbox_per_data_path.program(
        tunnel_table("t", server.port, f'socks = "{local}"', f'remote = "{remote}"')
    )
    program.up()
    program.wait_until_up()
    return Proxies(
        local,
        remote,
        sandbox_per_data_path.service(web_page("hello")),
        sandbox_per_data_path.service(echo),
    )


def curl(option: str, proxy: int, url: str, *others: str) -> subprocess.CompletedProcess[str]:
    command = [require("curl"), "--silent", "--show-error", "--max-time", "20"]
    command += [*others, option, f"127.0.0.1:{proxy}", url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("side", ["local", "remote"])
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
    done = curl(option, proxies.port(side), f"http://{host}:{proxies.web.port}/")

    assert (done.returncode, done.stdout) == (0, "hello"), done.stderr


@pytest.mark.parametrize("side", ["local", "remote"])
@pytest.mark.parametrize(
    ("option", "reply"),
    [("--socks4", "(91)"), ("--socks5", "(5)"), ("--socks5-hostname", "(5)")],
)
def test_a_refused_target_is_reported_as_refused(
    proxies: Proxies, side: str, option: str, reply: str
) -> None:
    """Reply with 0x5b of SOCKS4, and "connection refused" of RFC 1928 section 6."""
    done = curl(option, proxies.port(side), f"http://127.0.0.1:{free_port()}/")

    assert done.returncode == PROXY_FAILED
    assert reply in done.stderr


def test_a_target_that_the_server_forbids_is_reported_as_forbidden(proxies: Proxies) -> None:
    """Reply "connection not allowed by ruleset" of RFC 1928 section 6."""
    done = curl("--socks5", proxies.local, "http://127.0.0.9:80/")

    assert done.returncode == PROXY_FAILED
    assert "(2)" in done.stderr


@pytest.mark.parametrize("side", ["local", "remote"])
@pytest.mark.parametrize(
    ("request_bytes", "reply"),
    [
        pytest.param(b"\5\1\2", b"\5\xff", id="password method only"),
        pytest.param(b"\5\1\0" + b"\5\2\0\1\x7f\0\0\1\0\7", b"\5\0\5\7", id="BIND"),
        pytest.param(b"\5\1\0" + b"\5\3\0\1\x7f\0\0\1\0\7", b"\5\0\5\7", id="UDP ASSOCIATE"),
        pytest.param(b"\5\1\0" + b"\5\1\0\2\x7f\0\0\1\0\7", b"\5\0\5\x08", id="address type 2"),
        pytest.param(b"\4\2\0\7\x7f\0\0\1\0", b"\0\x5b", id="SOCKS4 BIND"),
    ],
)
def test_an_unsupported_request_gets_an_error_reply(
    proxies: Proxies, side: str, request_bytes: bytes, reply: bytes
) -> None:
    assert exchange(proxies.port(side), request_bytes).startswith(reply)


@pytest.mark.parametrize("side", ["local", "remote"])
def test_data_sent_before_the_reply_is_not_lost(proxies: Proxies, side: str) -> None:
    target = b"\x7f\0\0\1" + proxies.echo.port.to_bytes(2)
    requests = b"\5\1\0" + b"\5\1\0\1" + target + b"early"

    with connected(proxies.port(side)) as client:
        client.sendall(requests)
        answer = receive_exactly(client, 2 + 10 + 5)

    assert answer[:4] == b"\5\0\5\0"
    assert answer[-5:] == b"early"


# -- limits on clients -----------------------------------------------------------------------------


class LimitedProxies(NamedTuple):
    password: int
    own_user: int
    other_user: int
    url: str


@pytest.fixture(scope="module")
def limited(shared_sandbox: Sandbox) -> LimitedProxies:
    """Run a proxy with a password, one for this user, and one for another user."""
    passwords = shared_sandbox.directory / "passwords"
    passwords.touch(mode=0o600)
    passwords.write_text("ann:correct horse\n")
    ports = free_port(), free_port(), free_port()
    tables = (
        f'{{ listen = {ports[0]}, password_file = "{passwords}" }}',
        f"{{ listen = {ports[1]}, allow_users = [{os.geteuid()}] }}",
        f"{{ listen = {ports[2]}, allow_users = [{os.geteuid() + 1}] }}",
    )
    program = shared_sandbox.program(
        tunnel_table("t", shared_sandbox.sshd().port, f"socks = [{', '.join(tables)}]")
    )
    program.up()
    program.wait_until_up()
    web = shared_sandbox.service(web_page("hello"))
    return LimitedProxies(*ports, f"http://127.0.0.1:{web.port}/")


def test_curl_logs_in_with_user_and_password(limited: LimitedProxies) -> None:
    done = curl("--socks5", limited.password, limited.url, "--proxy-user", "ann:correct horse")

    assert (done.returncode, done.stdout) == (0, "hello"), done.stderr


@pytest.mark.parametrize("user", [["--proxy-user", "ann:wrong"], []])
def test_curl_without_the_password_is_refused(limited: LimitedProxies, user: list[str]) -> None:
    done = curl("--socks5", limited.password, limited.url, *user)

    assert (done.returncode, done.stdout) == (PROXY_FAILED, "")


def test_only_an_allowed_user_can_use_a_proxy(limited: LimitedProxies) -> None:
    allowed = curl("--socks5", limited.own_user, limited.url)
    refused = curl("--socks5", limited.other_user, limited.url)

    assert (allowed.returncode, allowed.stdout) == (0, "hello"), allowed.stderr
    assert (refused.returncode != 0, refused.stdout) == (True, "")
