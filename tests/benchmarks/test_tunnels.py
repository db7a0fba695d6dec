from __future__ import annotations

from pathlib import Path

from benchmarks.tunnels import (
    Forward,
    Login,
    Tunnel,
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


def test_ssh_uses_its_default_ciphers_unless_configured() -> None:
    assert "Ciphers" not in ssh_config(LOGIN, "")
    assert "\nCiphers aes128-gcm@openssh.com\n" in ssh_config(LOGIN, "aes128-gcm@openssh.com")


def test_tunnelkeeper_reads_the_same_tunnels_from_its_config() -> None:
    chain = Tunnel((Forward("socks", 1004),), port=23, jump=True)
    text = tunnelkeeper_config(LOGIN, [Tunnel(FORWARDS, port=22), chain])

    first, second = parse(text, "tunnels.toml").tunnels.values()

    assert [type(each) for each in first.forwards] == [LocalForward, RemoteForward, SocksForward]
    assert (second.host, second.options.jump) == ("at-23", ("jump-23",))
