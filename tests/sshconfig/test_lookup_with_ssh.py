"""Lookup of chains with the real ssh and real files."""

import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from tunnelkeeper.core.configuration import Configuration, HostOptions, SupervisorOptions, Tunnel
from tunnelkeeper.sshconfig import HostLookup, SshConfigError, SshQuery, gather_facts

pytestmark = pytest.mark.usefixtures("ssh")

Look = Callable[[str], HostLookup]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Return a function that looks hosts up in an ssh_config with a given text."""

    def look(text: str) -> HostLookup:
        path = tmp_path / "ssh_config"
        path.write_text(text)
        configuration = Configuration("t.toml", SupervisorOptions(ssh_config=str(path)))
        return HostLookup(configuration, SshQuery(), gather_facts(), monotonic)

    return look


async def test_a_chain_of_several_hops_matches_the_route_of_ssh(look: Look) -> None:
    text = """\
Host deep
  HostName deep.internal
  ProxyJump user1@bastion1,bastion2:2200
Host bastion1
  ProxyJump gate
Host bastion2
  ProxyJump elsewhere
  ProxyCommand false
  User user2
Host gate
  ProxyCommand nc -x proxy:1080 "%h" %p
"""
    chain = await look(text).resolve_reference("user3@deep")

    assert [host.name for host in chain] == [
        "gate",
        "user1@bastion1",
        "bastion2:2200",
        "user3@deep",
    ]
    assert [str(host).removeprefix(f"{gather_facts().user}@") for host in chain] == [
        "gate:22",
        "user1@bastion1:22",
        "user2@bastion2:2200",
        "user3@deep.internal:22",
    ]
    assert [host.proxy_command for host in chain] == [
        'nc -x proxy:1080 "gate" 22',
        None,
        None,
        None,
    ]


async def test_proxy_command_none_overrides_a_general_one(look: Look) -> None:
    text = "Host near\n  ProxyCommand none\nHost *\n  ProxyCommand nc %h %p\n"
    lookup = look(text)
    near, far = await lookup.resolve_reference("near"), await lookup.resolve_reference("far")

    assert near[0].proxy_command is None
    assert far[0].proxy_command == "nc far 22"


async def test_algorithms_are_unset_if_no_file_sets_them(look: Look) -> None:
    (host,) = await look("Host *\n  Compression yes\n").resolve_reference("relay")

    assert host.ciphers is host.macs is host.kex_algorithms is None
    assert host.host_key_algorithms is host.pubkey_accepted_algorithms is None
    assert host.compression


async def test_lists_with_plus_minus_and_caret_are_applied_as_in_ssh(look: Look) -> None:
    text = """\
Host relay
  Ciphers ^aes256-gcm@openssh.com
  MACs -hmac-sha1*
  HostKeyAlgorithms ssh-ed25519
"""
    options = HostOptions(kex_algorithms="+diffie-hellman-group1-sha1")
    (host,) = await look(text).resolve(Tunnel("t", "relay", options=options))

    assert host.ciphers is not None
    assert host.ciphers.startswith("aes256-gcm@openssh.com,")
    assert host.ciphers.count("aes256-gcm@openssh.com") == 1
    assert host.macs is not None
    assert "hmac-sha1" not in host.macs
    assert host.kex_algorithms is not None
    assert host.kex_algorithms.endswith(",diffie-hellman-group1-sha1")
    assert host.host_key_algorithms == "ssh-ed25519"
    assert host.pubkey_accepted_algorithms is None


async def test_a_list_that_ssh_refuses_is_reported_with_its_message(look: Look) -> None:
    tunnel = Tunnel("t", "relay", options=HostOptions(macs="rot13"))

    with pytest.raises(SshConfigError, match="Bad SSH2 MAC spec 'rot13'"):
        await look("").resolve(tunnel)


async def test_tokens_are_expanded_as_ssh_expands_them(look: Look) -> None:
    # ssh prints what it makes of UserKnownHostsFile, and leaves IdentityFile to us.
    tokens = "%C-%d-%h-%i-%k-%L-%l-%n-%p-%r-%u-%%"
    text = f"""\
Host relay
  HostName %h.example.com
  Port 2222
  User tunnel
  HostKeyAlias home
  UserKnownHostsFile /{tokens}
  IdentityFile /{tokens}
"""
    (host,) = await look(text).resolve_reference("relay")

    assert host.identity_files == host.user_known_hosts
    assert host.identity_files[0].endswith(
        f"-relay.example.com-{gather_facts().uid}-home-{socket.gethostname().partition('.')[0]}"
        f"-{socket.gethostname()}-relay-2222-tunnel-{gather_facts().user}-%"
    )


async def test_an_ipv6_scope_is_not_a_token(look: Look) -> None:
    (host,) = await look("UserKnownHostsFile /k/%h\n").resolve_reference("[fe80::1%lo]")

    assert host.hostname == "fe80::1%lo"
    assert host.user_known_hosts == ("/k/fe80::1%lo",)


async def test_paths_are_absolute_and_include_the_defaults_of_ssh(look: Look) -> None:
    text = """\
UserKnownHostsFile ~/k1 "/a b/k2"
GlobalKnownHostsFile none
IdentityFile rel/key
IdentityFile ~/key
IdentityFile rel/key
IdentityAgent none
"""
    home = gather_facts().home
    lookup = look(text)
    (host,) = await lookup.resolve_reference("relay")
    (bare,) = await look("").resolve_reference("relay")

    assert host.user_known_hosts == (f"{home}/k1", "/a b/k2")
    assert host.system_known_hosts == ()
    assert host.identity_files == (f"{gather_facts().cwd}/rel/key", f"{home}/key")
    assert host.identity_agent is None
    assert f"{home}/.ssh/id_ed25519" in bare.identity_files
    assert f"{home}/.ssh/known_hosts" in bare.user_known_hosts
    assert "/etc/ssh/ssh_known_hosts" in bare.system_known_hosts


@pytest.mark.parametrize(
    ("value", "policy"),
    [("ask", "strict"), ("yes", "strict"), ("accept-new", "accept-new"), ("off", "accept-new")],
)
async def test_strict_host_key_checking_is_read_from_the_answer_of_ssh(
    value: str, policy: str, look: Look
) -> None:
    lookup = look(f"StrictHostKeyChecking {value}\n")
    (host,) = await lookup.resolve_reference("relay")

    assert host.host_key_policy == policy
    assert bool(await lookup.find_deviations(Tunnel("t", "relay"))) == (value == "off")


async def test_times_and_flags_are_read_in_the_units_of_ssh(look: Look) -> None:
    text = """\
ServerAliveInterval 2m
ServerAliveCountMax 4
ConnectTimeout 1m
TCPKeepAlive no
AddressFamily inet
BindAddress 127.0.0.1
HashKnownHosts yes
IdentitiesOnly yes
"""
    (host,) = await look(text).resolve_reference("relay")

    assert (host.keepalive.interval, host.keepalive.count_max) == (120, 4)
    assert (host.connect_timeout, host.tcp_keepalive) == (60, False)
    assert (host.address_family, host.bind_address) == ("inet", "127.0.0.1")
    assert host.hash_known_hosts
    assert host.identities_only


async def test_the_default_ssh_config_of_distributions_has_no_deviations(look: Look) -> None:
    text = """\
Host *
  SendEnv LANG LC_*
  HashKnownHosts yes
  GSSAPIAuthentication yes
  ForwardX11Trusted yes
  RequiredRSASize 2048
"""

    assert await look(text).find_deviations(Tunnel("t", "relay")) == ()


async def test_unsupported_directives_are_reported_for_each_host_of_the_chain(look: Look) -> None:
    text = """\
Host relay
  ProxyJump gate
  LocalForward 8080 localhost:80
Host gate
  VerifyHostKeyDNS yes
"""

    assert await look(text).find_deviations(Tunnel("t", "relay")) == (
        "gate: VerifyHostKeyDNS of ssh_config is not supported",
        "relay: LocalForward of ssh_config is not supported",
    )


async def test_match_sees_an_overridden_user(look: Look) -> None:
    text = "Match user bob\n  Port 2222\n"
    lookup = look(text)

    assert str((await lookup.resolve_reference("bob@relay"))[0]) == "bob@relay:2222"
    assert (await lookup.resolve_reference("eve@relay"))[0].ports == (22,)


async def test_an_alias_with_unusual_characters_is_a_host(look: Look) -> None:
    text = "Host bücher#1\n  HostName 127.0.0.1\n"

    assert (await look(text).resolve_reference("bücher#1"))[0].hostname == "127.0.0.1"


async def test_a_command_line_combines_its_options_with_ssh_config(
    look: Look,
) -> None:
    text = "Host box\n  User other\n  Port 24\n  LocalForward 1 a:2\n"
    arguments = ("-J", "gate", "-o", "ServerAliveInterval=7", "-L", "3:b:4", "-s")

    way, answer = await look(text).resolve_command_line("me@box", arguments, ("sftp",))

    assert [host.name for host in way] == ["gate", "me@box"]
    assert (way[-1].user, way[-1].ports, way[-1].keepalive.interval) == ("me", (24,), 7)
    assert answer["localforward"] == ["3 [b]:4", "1 [a]:2"]
    assert answer["sessiontype"] == ["subsystem"]
    assert way[0].keepalive.interval != 7
