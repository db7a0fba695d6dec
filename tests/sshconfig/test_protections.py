"""Directives that protect, in the answers of Debian's ssh and of newer versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.core.configuration import Configuration, HostOptions, Tunnel
from tunnelkeeper.core.forward_spec import LocalForward, TcpAddress
from tunnelkeeper.core.ssh_values import ChannelTimeout, IpQos, RekeyLimit
from tunnelkeeper.sshconfig import Facts, HostLookup, Request, SshConfigError, SshQuery
from tunnelkeeper.sshconfig.resolve import LookupResult, resolve
from tunnelkeeper.sshconfig.ssh_g_output import parse_output

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.core.configuration import Host

NEWER_DEFAULTS = "warnweakcrypto yes\nipqos ef cs0\nrekeylimit 0 0\nstreamlocalbindmask 0177"


def host(facts: Facts, text: str, **options: object) -> Host:
    answer, default = parse_output(text), parse_output(NEWER_DEFAULTS)
    own = HostOptions(**options)  # type: ignore[arg-type]
    return resolve(LookupResult("relay", "relay", own, answer, default, facts))


def test_several_lists_of_revoked_keys_are_read(facts: Facts) -> None:
    text = "revokedhostkeys /etc/revoked /home/ann/re voked"

    assert host(facts, text).revoked_host_keys == ("/etc/revoked", "/home/ann/re voked")
    assert host(facts, "revokedhostkeys ~/%n").revoked_host_keys == ("/home/ann/relay",)
    assert host(facts, "revokedhostkeys none").revoked_host_keys == ()
    assert host(facts, text, revoked_host_keys=("~/mine",)).revoked_host_keys == ("/home/ann/mine",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 1024), ("requiredrsasize 3072", 3072), ("requiredrsasize 512", 1024)],
)
def test_the_required_size_is_never_below_that_of_ssh(
    facts: Facts, text: str, expected: int
) -> None:
    assert host(facts, text).required_rsa_size == expected


def test_defaults_of_ssh_count_as_unset(facts: Facts) -> None:
    resolved = host(facts, NEWER_DEFAULTS)

    assert resolved.ip_qos == IpQos()
    assert resolved.rekey_limit == RekeyLimit()
    assert resolved.warn_weak_crypto
    assert host(facts, "ipqos af21 none").ip_qos == IpQos(0x48, None)


@pytest.mark.parametrize(("value", "expected"), [("no-pq-kex", True), ("no", False)])
def test_the_warning_of_weak_crypto_can_be_disabled(
    facts: Facts, value: str, expected: bool
) -> None:
    assert host(facts, f"warnweakcrypto {value}").warn_weak_crypto is expected


def test_channel_timeouts_are_read(facts: Facts) -> None:
    text = "channeltimeout session=1h direct-*=600"

    assert host(facts, text).channel_timeout == (
        ChannelTimeout("session", 3600),
        ChannelTimeout("direct-*", 600),
    )
    assert host(facts, text, channel_timeout=("none",)).channel_timeout == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channeltimeout session", "ChannelTimeout: expected TYPE=TIME"),
        ("rekeylimit x", "RekeyLimit: expected a size"),
        ("permitremoteopen db", "PermitRemoteOpen: expected host:port"),
        ("requiredrsasize big", "(?i)expected a number for requiredrsasize"),
        ("revokedhostkeys ~nobody/keys", "RevokedHostKeys"),
        ("knownhostscommand keys %H", "absolute path"),
        ("knownhostscommand /bin/keys %z", "KnownHostsCommand"),
        ("knownhostscommand /bin/keys 'a", "KnownHostsCommand"),
        ("preferredauthentications none", "PreferredAuthentications is none"),
        ("pubkeyauthentication no\npreferredauthentications publickey", "publickey is off"),
        ("numberofpasswordprompts x", "NumberOfPasswordPrompts"),
        ("addkeystoagent never", "AddKeysToAgent: expected yes, no"),
        ("refuseconnection use the other one", "use the other one"),
    ],
)
def test_a_value_that_cannot_be_honoured_blocks_the_host(
    facts: Facts, text: str, message: str
) -> None:
    with pytest.raises(SshConfigError, match=message):
        host(facts, text)


async def test_the_message_of_refuse_connection_is_passed_on(tmp_path: Path) -> None:
    """OpenSSH 10 ends with this message as soon as it reads the directive."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho '/etc/c line 3: RefuseConnection: use box' >&2\nexit 255\n")
    ssh.chmod(0o755)

    with pytest.raises(SshConfigError, match="RefuseConnection: use box"):
        await SshQuery(str(ssh))(Request("relay"))


@pytest.mark.parametrize(
    ("forwards", "is_refused"),
    [((LocalForward(TcpAddress("localhost", 1), TcpAddress("a", 1)),), True), ((), False)],
)
async def test_forwards_are_refused_if_ssh_config_clears_them(
    facts: Facts, forwards: tuple[LocalForward, ...], is_refused: bool
) -> None:
    async def query(request: Request) -> dict[str, list[str]]:
        return {"hostname": [request.host], "clearallforwardings": ["yes"]}

    lookup = HostLookup(Configuration("tunnels.toml"), query, facts, lambda: 0.0)
    tunnel = Tunnel("t", "relay", forwards)
    if not is_refused:
        assert len(await lookup.resolve(tunnel)) == 1
        return
    with pytest.raises(SshConfigError, match="ClearAllForwardings"):
        await lookup.resolve(tunnel)
