from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import go_forwarder
from benchmarks.processes import BenchmarkError
from benchmarks.tunnels import (
    Forward,
    Login,
    Tunnel,
    forward_request,
    master_arguments,
    ssh_arguments,
    ssh_config,
    tunnelkeeper_config,
)
from tunnelkeeper.config import parse
from tunnelkeeper.core.forward_spec import LocalForward, RemoteForward, SocksForward

LOGIN = Login("someone", Path("/keys/key"), Path("/keys/known_hosts"))
FORWARDS = (Forward("local", 1001, 2001), Forward("remote", 1002, 2002), Forward("socks", 1003))


def test_ssh_gets_an_option_for_every_forward() -> None:
    assert ssh_arguments(Tunnel(FORWARDS, port=22), Path("file")) == [
        *("-F", "file", "-N", "-p", "22"),
        *("-L", "127.0.0.1:1001:127.0.0.1:2001"),
        *("-R", "127.0.0.1:1002:127.0.0.1:2002"),
        *("-D", "127.0.0.1:1003"),
        "server",
    ]


def test_ssh_gets_the_jump_host() -> None:
    assert ssh_arguments(Tunnel((), port=22, jump=True), Path("file"))[-3:] == [
        *("-J", "jump:22"),
        "server",
    ]


def test_a_master_gets_its_forwards_by_a_request() -> None:
    tunnel, config, socket = Tunnel(FORWARDS, port=22), Path("file"), Path("master")

    assert master_arguments(tunnel, config, socket) == [
        *("-M", "-S", "master", "-F", "file", "-N", "-p", "22", "server")
    ]
    assert forward_request(tunnel, config, socket) == [
        *("-F", "file", "-S", "master", "-O", "forward"),
        *("-L", "127.0.0.1:1001:127.0.0.1:2001"),
        *("-R", "127.0.0.1:1002:127.0.0.1:2002"),
        *("-D", "127.0.0.1:1003"),
        "server",
    ]


def test_the_forwarder_gets_the_ends_of_every_forward() -> None:
    forwards = (Forward("local", 1001, 2001), Forward("local", 1002, 2002))

    assert go_forwarder.arguments(LOGIN, Tunnel(forwards, port=22)) == [
        *("someone", "/keys/key", "/keys/known_hosts", "127.0.0.1:22"),
        *("127.0.0.1:1001", "127.0.0.1:2001", "127.0.0.1:1002", "127.0.0.1:2002"),
    ]


def test_without_go_the_error_names_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BenchmarkError, match="apt-get install golang-go"):
        go_forwarder.build(tmp_path)


def test_ssh_uses_its_default_ciphers_unless_configured() -> None:
    assert "Ciphers" not in ssh_config(LOGIN, "")
    assert "\nCiphers aes128-gcm@openssh.com\n" in ssh_config(LOGIN, "aes128-gcm@openssh.com")


def test_tunnelkeeper_reads_the_same_tunnels_from_its_config() -> None:
    chain = Tunnel((Forward("socks", 1004),), port=23, jump=True)
    text = tunnelkeeper_config(LOGIN, [Tunnel(FORWARDS, port=22), chain])

    first, second = parse(text, "tunnels.toml").tunnels.values()

    assert [type(each) for each in first.forwards] == [LocalForward, RemoteForward, SocksForward]
    assert (second.host, second.options.jump) == ("at-23", ("jump-23",))
