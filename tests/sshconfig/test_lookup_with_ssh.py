"""Lookup of chains with the real ssh and real files."""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from tunnelkeeper.core.configuration import Configuration, HostOptions, SupervisorOptions, Tunnel
from tunnelkeeper.sshconfig import HostLookup, SshConfigError, SshQuery, gather_facts

pytestmark = pytest.mark.usefixtures("ssh")

MakeLookup = Callable[..., HostLookup]


@pytest.fixture
def make_lookup(tmp_path: Path) -> MakeLookup:
    """Return a function that looks hosts up in an ssh_config with a given text."""

    def make_lookup(text: str, hosts: dict[str, HostOptions] | None = None) -> HostLookup:
        path = tmp_path / "ssh_config"
        path.write_text(text)
        configuration = Configuration(
            "t.toml", SupervisorOptions(ssh_config=str(path)), hosts=hosts or {}
        )
        return HostLookup(configuration, SshQuery(), gather_facts(), monotonic)

    return make_lookup


async def test_a_chain_of_several_hops_matches_the_route_of_ssh(make_lookup: MakeLookup) -> None:
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
    host_chain = await make_lookup(text).resolve_reference("user3@deep")

    assert [host.name for host in host_chain] == [
        "gate",
        "user1@bastion1",
        "bastion2:2200",
        "user3@deep",
    ]
    assert [str(host).removeprefix(f"{gather_facts().user}@") for host in host_chain] == [
        "gate:22",
        "user1@bastion1:22",
        "user2@bastion2:2200",
        "user3@deep.internal:22",
    ]
    assert [host.proxy_command for host in host_chain] == [
        'nc -x proxy:1080 "gate" 22',
        None,
        None,
        None,
    ]


async def test_proxy_command_none_overrides_a_general_one(make_lookup: MakeLookup) -> None:
    text = "Host near\n  ProxyCommand none\nHost *\n  ProxyCommand nc %h %p\n"
    lookup = make_lookup(text)
    near_host, far_host = (
        await lookup.resolve_reference("near"),
        await lookup.resolve_reference("far"),
    )

    assert near_host[0].proxy_command is None
    assert far_host[0].proxy_command == "nc far 22"


async def test_algorithms_are_unset_if_no_file_sets_them(make_lookup: MakeLookup) -> None:
    (host,) = await make_lookup("Host *\n  Compression yes\n").resolve_reference("relay")

    assert host.ciphers is host.macs is host.kex_algorithms is None
    assert host.host_key_algorithms is host.pubkey_accepted_algorithms is None
    assert host.compression


async def test_lists_with_plus_minus_and_caret_are_applied_as_in_ssh(
    make_lookup: MakeLookup,
) -> None:
    text = """\
Host relay
  Ciphers ^aes256-gcm@openssh.com
  MACs -hmac-sha1*
  HostKeyAlgorithms ssh-ed25519
"""
    options = HostOptions(kex_algorithms="+diffie-hellman-group1-sha1")
    (host,) = await make_lookup(text).resolve(Tunnel("t", "relay", options=options))

    assert host.ciphers is not None
    assert host.ciphers.startswith("aes256-gcm@openssh.com,")
    assert host.ciphers.count("aes256-gcm@openssh.com") == 1
    assert host.macs is not None
    assert "hmac-sha1" not in host.macs
    assert host.kex_algorithms == "+diffie-hellman-group1-sha1"
    assert host.host_key_algorithms == "ssh-ed25519"
    assert host.pubkey_accepted_algorithms is None


@pytest.mark.parametrize("ciphers", ["blowfish-cbc", "+arcfour128,aes256-ctr"])
async def test_a_list_may_name_algorithms_that_ssh_lacks(
    make_lookup: MakeLookup, ciphers: str
) -> None:
    tunnel = Tunnel("t", "relay", options=HostOptions(ciphers=ciphers))
    (host,) = await make_lookup("").resolve(tunnel)

    assert host.ciphers == ciphers


async def test_a_list_that_ssh_refuses_is_reported_with_its_message(
    make_lookup: MakeLookup,
) -> None:
    with pytest.raises(SshConfigError, match="Bad SSH2 MAC spec 'rot13'"):
        await make_lookup("MACs rot13\n").resolve(Tunnel("t", "relay"))


async def test_tokens_are_expanded_as_ssh_expands_them(make_lookup: MakeLookup) -> None:
    # ssh -G expands UserKnownHostsFile but not IdentityFile.
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
    (host,) = await make_lookup(text).resolve_reference("relay")

    assert host.identity_files == host.user_known_hosts
    assert host.identity_files[0].endswith(
        f"-relay.example.com-{gather_facts().uid}-home-{socket.gethostname().partition('.')[0]}"
        f"-{socket.gethostname()}-relay-2222-tunnel-{gather_facts().user}-%"
    )


async def test_an_ipv6_scope_is_not_a_token(make_lookup: MakeLookup) -> None:
    (host,) = await make_lookup("UserKnownHostsFile /k/%h\n").resolve_reference("[fe80::1%lo]")

    assert host.hostname == "fe80::1%lo"
    assert host.user_known_hosts == ("/k/fe80::1%lo",)


async def test_paths_are_absolute_and_include_the_defaults_of_ssh(make_lookup: MakeLookup) -> None:
    text = """\
UserKnownHostsFile ~/k1 "/a b/k2"
GlobalKnownHostsFile none
IdentityFile rel/key
IdentityFile ~/key
IdentityFile rel/key
IdentityAgent none
"""
    home = gather_facts().home
    lookup = make_lookup(text)
    (host,) = await lookup.resolve_reference("relay")
    (default_host,) = await make_lookup("").resolve_reference("relay")

    assert host.user_known_hosts == (f"{home}/k1", "/a b/k2")
    assert host.system_known_hosts == ()
    assert host.identity_files == (f"{gather_facts().cwd}/rel/key", f"{home}/key")
    assert host.identity_agent is None
    assert f"{home}/.ssh/id_ed25519" in default_host.identity_files
    assert f"{home}/.ssh/known_hosts" in default_host.user_known_hosts
    assert "/etc/ssh/ssh_known_hosts" in default_host.system_known_hosts


@pytest.mark.parametrize(
    ("value", "policy"),
    [("ask", "ask"), ("yes", "strict"), ("accept-new", "accept-new"), ("off", "accept-new")],
)
async def test_strict_host_key_checking_is_read_from_the_answer_of_ssh(
    value: str, policy: str, make_lookup: MakeLookup
) -> None:
    lookup = make_lookup(f"StrictHostKeyChecking {value}\n")
    (host,) = await lookup.resolve_reference("relay")

    assert host.host_key_policy == policy
    assert bool(await lookup.find_deviations(Tunnel("t", "relay"))) == (value == "off")


async def test_times_and_flags_are_read_in_the_units_of_ssh(make_lookup: MakeLookup) -> None:
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
    (host,) = await make_lookup(text).resolve_reference("relay")

    assert (host.keepalive.interval, host.keepalive.count_max) == (120, 4)
    assert (host.connect_timeout, host.tcp_keepalive) == (60, False)
    assert (host.address_family, host.bind_address) == ("inet", "127.0.0.1")
    assert host.hash_known_hosts
    assert host.identities_only


async def test_the_default_ssh_config_of_distributions_has_no_deviations(
    make_lookup: MakeLookup,
) -> None:
    text = """\
Host *
  SendEnv LANG LC_*
  HashKnownHosts yes
  GSSAPIAuthentication yes
  ForwardX11Trusted yes
  RequiredRSASize 2048
"""

    assert await make_lookup(text).find_deviations(Tunnel("t", "relay")) == ()


async def test_unsupported_directives_are_reported_for_each_host_of_the_chain(
    make_lookup: MakeLookup,
) -> None:
    text = """\
Host relay
  ProxyJump gate
  LocalForward 8080 localhost:80
Host gate
  VerifyHostKeyDNS yes
"""

    assert await make_lookup(text).find_deviations(Tunnel("t", "relay")) == (
        "gate: VerifyHostKeyDNS of ssh_config is not supported",
        "relay: LocalForward of ssh_config is not supported",
    )


async def test_match_sees_an_overridden_user(make_lookup: MakeLookup) -> None:
    text = "Match user bob\n  Port 2222\n"
    lookup = make_lookup(text)

    assert str((await lookup.resolve_reference("bob@relay"))[0]) == "bob@relay:2222"
    assert (await lookup.resolve_reference("eve@relay"))[0].ports == (22,)


PRECEDENCE = """\
Host box
  HostName box.example.com
  User alias
  Port 2200
  IdentityFile /keys/%n-%h-%r-%p
  UserKnownHostsFile /hosts/%n-%h-%r-%p
  ProxyCommand nc %n %h %p
Match host 127.0.0.2
  HostKeyAlias host
Match user me
  HostKeyAlias user
Match originalhost box exec "test %n-%h-%r-%p = box-box.example.com-alias-443"
  HostKeyAlias port
"""


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (HostOptions(), ()),
        (HostOptions(hostname="127.0.0.2"), ("HostName=127.0.0.2",)),
        (HostOptions(hostname="fe80::1%lo"), ("HostName=fe80::1%%lo",)),
        (HostOptions(user="me"), ("User=me",)),
        (HostOptions(port=(443, 22)), ("Port=443",)),
        (HostOptions(proxy_command="none"), ("ProxyCommand=none",)),
        (HostOptions(jump=()), ("ProxyCommand=none",)),
        (HostOptions(hostname="127.0.0.2", user="me"), ("HostName=127.0.0.2", "User=me")),
    ],
)
@pytest.mark.parametrize("table", ["tunnel", "host"])
async def test_a_key_of_a_table_overrides_that_key_only_as_an_option_of_ssh_does(
    table: str, options: HostOptions, line: tuple[str, ...], make_lookup: MakeLookup
) -> None:
    lookup = make_lookup(PRECEDENCE)
    arguments = tuple(word for setting in line for word in ("-o", setting))
    (expected,), _ = await lookup.resolve_command_line("box", ("-N", *arguments), ())
    if table == "tunnel":
        (host,) = await lookup.resolve(Tunnel("t", "box", options=options))
    else:
        lookup = make_lookup(PRECEDENCE, {"box": options})
        (host,) = await lookup.resolve_reference("box")

    assert replace(host, ports=host.ports[:1]) == expected


async def test_jump_hosts_of_a_table_keep_the_rest_of_the_alias(make_lookup: MakeLookup) -> None:
    lookup = make_lookup(PRECEDENCE)
    gate, host = await lookup.resolve(Tunnel("t", "box", options=HostOptions(jump=("gate",))))

    assert (gate.name, str(host)) == ("gate", "alias@box.example.com:2200")
    assert host.identity_files == ("/keys/box-box.example.com-alias-2200",)
    assert host.proxy_command is None


async def test_an_alias_with_unusual_characters_is_a_host(make_lookup: MakeLookup) -> None:
    text = "Host bücher#1\n  HostName 127.0.0.1\n"

    assert (await make_lookup(text).resolve_reference("bücher#1"))[0].hostname == "127.0.0.1"


async def test_a_command_line_combines_its_options_with_ssh_config(
    make_lookup: MakeLookup,
) -> None:
    text = "Host box\n  User other\n  Port 24\n  LocalForward 1 a:2\n"
    arguments = ("-J", "gate", "-o", "ServerAliveInterval=7", "-L", "3:b:4", "-s")

    host_chain, answer = await make_lookup(text).resolve_command_line(
        "me@box", arguments, ("sftp",)
    )

    assert [host.name for host in host_chain] == ["gate", "me@box"]
    assert (host_chain[-1].user, host_chain[-1].ports, host_chain[-1].keepalive.interval) == (
        "me",
        (24,),
        7,
    )
    assert answer["localforward"] == ["3 [b]:4", "1 [a]:2"]
    assert answer["sessiontype"] == ["subsystem"]
    assert host_chain[0].keepalive.interval != 7
