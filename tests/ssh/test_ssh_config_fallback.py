"""The ssh_config fallback gives the same answers as ssh for what asyncssh can parse."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic

import psutil
import pytest

from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.configuration import (
    Configuration,
    Host,
    HostOptions,
    SupervisorOptions,
    Tunnel,
)
from tunnelkeeper.net.process_group import ending_children
from tunnelkeeper.net.thread_executor import DaemonThreads
from tunnelkeeper.ssh import ssh_config_fallback
from tunnelkeeper.ssh.ssh_config_fallback import FallbackQuery
from tunnelkeeper.sshconfig import (
    Facts,
    HostLookup,
    Query,
    Request,
    SshConfigError,
    SshQuery,
    gather_facts,
)

needs_ssh = pytest.mark.usefixtures("ssh")
Write = Callable[[str], str]


@pytest.fixture
def facts() -> Facts:
    return gather_facts()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an ssh_config; return its path."""

    def write(text: str) -> str:
        path = tmp_path / "ssh_config"
        path.write_text(text)
        return str(path)

    return write


async def resolve_hosts(query: Query, source: str, tunnel: Tunnel) -> list[Host]:
    """Return the chain without the defaults of a particular ssh version."""
    configuration = Configuration("t.toml", SupervisorOptions(ssh_config=source))
    hosts = await HostLookup(configuration, query, gather_facts(), monotonic).resolve(tunnel)
    return [replace(host, identity_files=host.identity_files[:1]) for host in hosts]


async def deviations(query: Query, source: str) -> tuple[str, ...]:
    configuration = Configuration("t.toml", SupervisorOptions(ssh_config=source))
    return await HostLookup(configuration, query, gather_facts(), monotonic).find_deviations(
        Tunnel("t", "relay")
    )


@needs_ssh
@pytest.mark.parametrize(
    "text",
    [
        "",
        "Host relay\n  HostName %h.Example.com\n  User bob\n  Port 2222\n",
        "Host re* !relay\n  Port 1\nHost relay\n  Port 2\n",
        "Match host relay user eve\n  Port 1\nMatch originalhost relay\n  Port 2\n",
        'Match exec "true"\n  Port 1\n',
        "IdentityFile ~/.ssh/%h-%p-%%\nCertificateFile /c/%r\nIdentityAgent ${HOME}/a\n",
        "IdentityAgent none\nIdentitiesOnly yes\n",
        'UserKnownHostsFile ~/a "/k/%k"\nGlobalKnownHostsFile none\nHostKeyAlias home\n',
        "UserKnownHostsFile none\n",
        "ProxyCommand sh -c 'nc \"%h\" %p'\nProxyJump gate\n",
        "Host relay\n  ProxyJump gate\n  ProxyCommand nc %h\n",
        "ProxyCommand none\nProxyJump gate\n",
        "ProxyJump none\nProxyCommand nc %h\n",
        "Host relay\n  ProxyJump a@gate:2200,inner\nHost gate\n  ProxyJump first\n",
        "Compression yes\nAddressFamily inet6\nBindAddress ::1\nTCPKeepAlive no\n",
        "ServerAliveInterval 30\nServerAliveCountMax 5\nConnectTimeout 7\n",
        "ServerAliveInterval 1m\nConnectTimeout 1M30s\n",
        "ServerAliveInterval none\nConnectTimeout none\nConnectTimeout 3\n",
        "Ciphers aes128-ctr\nHostKeyAlgorithms ssh-ed25519\n",
        "Match final\n  Port 2222\n",
        "StrictHostKeyChecking Accept-New\nHashKnownHosts yes\n",
        "Host other\n  StrictHostKeyChecking no\nHost *\n  StrictHostKeyChecking ask\n",
        "PubkeyAcceptedAlgorithms ssh-ed25519\n",
        "PubkeyAcceptedKeyTypes ssh-ed25519\n",
        "RevokedHostKeys ~/revoked\nRequiredRSASize 3072\nCheckHostIP yes\n",
        "CASignatureAlgorithms ssh-ed25519\nBindInterface lo\nDSAAuthentication yes\n",
        "PermitRemoteOpen a:1 *:2\nNoHostAuthenticationForLocalhost yes\nKeepAlive no\n",
        "PermitRemoteOpen none\nRekeyLimit 1G 1h\nIPQoS af21 cs1\nStreamLocalBindMask 0117\n",
        "RekeyLimit default 30m\nKnownHostsCommand /bin/keys %H '%I x' %%\n",
        "Host relay\n  IPQoS none\n  EscapeChar none\n  AddKeysToAgent yes\n  Protocol 2\n",
        "BatchMode yes\nServerAliveInterval 9\nUpdateHostKeys ask\nDSAAuthentication no\n",
        "PreferredAuthentications password,publickey\nPubkeyAuthentication unbound\n",
        "AddKeysToAgent confirm 8h\nUpdateHostKeys yes\nUserKnownHostsFile ~/other\n",
        "NumberOfPasswordPrompts 1\nUpdateHostKeys no\nPasswordAuthentication no\n",
        "IgnoreUnknown UseKey*,Nothing\nUseKeychain yes\nNothing at all\nPort 3\n",
        'Match !final exec "echo %h-%n-%p-%% | grep -qx relay-relay-22-%%"\n  Port 1\n',
        'HostName inner\nMatch host exec,inner exec "echo %h | grep -qx inner"\n  Port 1\n',
    ],
)
async def test_the_fallback_agrees_with_ssh(text: str, write: Write, facts: Facts) -> None:
    source = write(text)
    tunnel = Tunnel("t", "relay")

    assert await resolve_hosts(FallbackQuery(facts), source, tunnel) == await resolve_hosts(
        SshQuery(), source, tunnel
    )


@needs_ssh
@pytest.mark.parametrize(
    "options",
    [
        HostOptions(hostname="127.0.0.2"),
        HostOptions(hostname="fe80::1%lo"),
        HostOptions(user="me", port=(443,)),
        HostOptions(jump=()),
        HostOptions(jump=("gate",)),
        HostOptions(proxy_command="none"),
    ],
)
async def test_the_fallback_agrees_with_ssh_about_options_of_the_config_file(
    options: HostOptions, write: Write, facts: Facts
) -> None:
    text = "User bob\nPort 2200\nProxyCommand nc %h\n"
    text += "Host relay\n  HostName inner\n  IdentityFile /k/%n-%h-%r-%p\n"
    text += "Match host 127.0.0.2\n  HostKeyAlias host\nMatch user me\n  HostKeyAlias user\n"
    text += "Match final host inner\n  Compression yes\n"
    source, tunnel = write(text), Tunnel("t", "relay", options=options)

    assert await resolve_hosts(FallbackQuery(facts), source, tunnel) == await resolve_hosts(
        SshQuery(), source, tunnel
    )


@needs_ssh
@pytest.mark.parametrize("query_of", [FallbackQuery, lambda _: SshQuery()])
@pytest.mark.parametrize(("value", "message"), [("%y", "%y"), ("${TK_NONE}", "TK_NONE")])
async def test_a_value_that_cannot_be_expanded_is_an_error(
    value: str, message: str, query_of: Callable[[Facts], Query], write: Write, facts: Facts
) -> None:
    with pytest.raises(SshConfigError, match=message):
        await resolve_hosts(query_of(facts), write(f"IdentityFile {value}\n"), Tunnel("t", "a"))


@needs_ssh
@pytest.mark.parametrize("query_of", [FallbackQuery, lambda _: SshQuery()])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RevokedHostKey /etc/revoked\n", "(?i)bad configuration option: revokedhostkey"),
        ("IgnoreUnknown Other\nUseKeychain yes\n", "(?i)bad configuration option: usekeychain"),
        ("PreferredAuthentications hostbased\n", "PreferredAuthentications is hostbased"),
        ("DSAAuthentication no\nPreferredAuthentications publickey\n", "no method"),
    ],
)
async def test_what_may_forbid_something_is_an_error(
    text: str, message: str, query_of: Callable[[Facts], Query], write: Write, facts: Facts
) -> None:
    with pytest.raises(SshConfigError, match=message):
        await resolve_hosts(query_of(facts), write(text), Tunnel("t", "relay"))


async def test_config_file_options_override_ssh_config(write: Write, facts: Facts) -> None:
    source = write("User bob\nPort 1\nProxyJump gate\nHostKeyAlias a\nCiphers aes128-ctr\n")
    options = HostOptions(
        user="ann", port=(22, 443), jump=(), host_key_alias="b", ciphers="+aes256-ctr"
    )
    (host,) = await resolve_hosts(
        FallbackQuery(facts), source, Tunnel("t", "relay", options=options)
    )

    assert (host.user, host.ports, host.host_key_alias) == ("ann", (22, 443), "b")
    assert host.ciphers == "+aes256-ctr"


async def test_lists_with_plus_minus_and_caret_are_unchanged(write: Write, facts: Facts) -> None:
    source = write("Ciphers ^aes256-ctr\nMACs -hmac-sha1\n")
    (host,) = await resolve_hosts(FallbackQuery(facts), source, Tunnel("t", "relay"))

    assert (host.ciphers, host.macs) == ("^aes256-ctr", "-hmac-sha1")
    assert host.kex_algorithms is None


async def test_without_descriptors_no_included_file_is_skipped(
    write: Write, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(write("")).parent
    source = write(f"Include {folder}/none/*\n")
    tunnel = Tunnel("t", "relay")
    assert await resolve_hosts(FallbackQuery(facts), source, tunnel)
    monkeypatch.setattr(ssh_config_fallback, "are_exhausted", lambda: True)

    with pytest.raises(OSError, match="Too many open files"):
        await resolve_hosts(FallbackQuery(facts), source, tunnel)


@needs_ssh
async def test_included_files_are_read_in_their_order(write: Write, facts: Facts) -> None:
    numbers = [7, 3, 9, 1, 5]
    paths = [Path(write("")).with_name(f"[{number}].conf") for number in numbers]
    for number, path in zip(numbers, paths, strict=True):
        path.write_text(f"Port {number}\n")
    source = write(f"Include {paths[0].parent}/*.conf\nInclude {paths[0].parent}/none/*\n")
    tunnel = Tunnel("t", "relay")

    [host] = await resolve_hosts(FallbackQuery(facts), source, tunnel)

    assert host.ports == (1,)
    assert [host] == await resolve_hosts(SshQuery(), source, tunnel)


@needs_ssh
@pytest.mark.parametrize(
    "text",
    [
        "LocalForward 8080 intranet:80\nRevokedHostKeys /etc/revoked\n",
        "Host other\n  KnownHostsCommand /bin/true\n",
        "KnownHostsCommand none\nTunnel no\nGatewayPorts no\n",
        "PermitLocalCommand yes\nLocalCommand echo %h\n",
        "StrictHostKeyChecking no\n",
        "CanonicalizeHostname no\n",
    ],
)
async def test_unsupported_directives_are_named_as_with_ssh(
    text: str, write: Write, facts: Facts
) -> None:
    source = write(text)

    assert await deviations(FallbackQuery(facts), source) == await deviations(SshQuery(), source)


async def test_directives_that_only_ssh_supports_are_named(write: Write, facts: Facts) -> None:
    source = write("Host relay\n  CanonicalizeHostname yes\n  CanonicalDomains example.com\n")

    [deviation] = await deviations(FallbackQuery(facts), source)

    assert deviation == (
        "relay: CanonicalizeHostname of ssh_config needs ssh (openssh-client), "
        "which is not installed"
    )


async def test_the_users_file_overrides_the_machines_file(tmp_path: Path, facts: Facts) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host relay\n  User bob\n")
    system = tmp_path / "system"
    system.write_text("User eve\nPort 2222\n")
    query = FallbackQuery(replace(facts, home=str(tmp_path)), system)
    answer = await query(Request("relay"))

    assert (answer["user"], answer["port"]) == (["bob"], ["2222"])


async def test_without_any_file_the_defaults_of_ssh_apply(tmp_path: Path, facts: Facts) -> None:
    query = FallbackQuery(replace(facts, home=str(tmp_path)), tmp_path / "none")

    assert await query(Request("relay")) == await query(Request("relay", source=False))
    assert (await query(Request("relay")))["identityfile"][0] == "~/.ssh/id_rsa"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Port ssh\n", "line 1"),
        ("Compression maybe\n", "maybe"),
        ("ConnectTimeout 1x\n", "1x"),
        ("IdentityFile 'a\n", "line 1"),
        ('Match exec "test %y"\n', "%y"),
        ("StrictHostKeyChecking no yes\n", "yes"),
    ],
)
async def test_a_parse_error_has_a_hint(
    text: str, message: str, write: Write, facts: Facts
) -> None:
    with pytest.raises(SshConfigError, match=message) as caught:
        await FallbackQuery(facts)(Request("relay", source=write(text)))

    assert "ssh itself would read it" in caught.value.hint


async def test_a_binary_file_is_an_error(tmp_path: Path, facts: Facts) -> None:
    path = tmp_path / "ssh_config"
    path.write_bytes(b"Host \xff\xfe\n")

    with pytest.raises(SshConfigError, match="cannot look relay up"):
        await FallbackQuery(facts)(Request("relay", source=str(path)))


async def test_a_missing_file_is_an_error(facts: Facts) -> None:
    with pytest.raises(SshConfigError, match="No such file"):
        await FallbackQuery(facts)(Request("relay", source="/nonexistent/file"))


async def test_a_match_exec_that_takes_too_long_times_out(write: Write, facts: Facts) -> None:
    source = write('Match exec "sleep 0.5"\n  Port 1\n')

    with pytest.raises(SshConfigError, match=r"more than 0\.1 s") as caught:
        await FallbackQuery(facts, timeout=0.1)(Request("relay", source=source))

    assert caught.value.temporary


@pytest.mark.parametrize("text", ["Include {fifo}\n", "Include {zero}\n"])
async def test_an_included_file_that_is_not_regular_is_an_error(
    text: str, write: Write, facts: Facts, tmp_path: Path
) -> None:
    files = {"fifo": tmp_path / "fifo", "zero": tmp_path / "zero"}
    os.mkfifo(files["fifo"])
    files["zero"].symlink_to("/dev/zero")

    with pytest.raises(SshConfigError, match="not a regular file"):
        await FallbackQuery(facts)(Request("relay", source=write(text.format_map(files))))


async def test_included_files_are_bounded(write: Write, facts: Facts, tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}.conf").touch()
    own = write("")
    for text, message in ((own, "more than 16 deep"), (f"{tmp_path}/*.conf", "more than 500")):
        write(f"Include {text}\n" * 3)
        with pytest.raises(SshConfigError, match=message):
            await FallbackQuery(facts, timeout=DEADLINE)(Request("relay", source=own))


async def test_a_fifo_is_an_error(tmp_path: Path, facts: Facts) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    with pytest.raises(SshConfigError, match="not a regular file"):
        await FallbackQuery(facts)(Request("relay", source=str(fifo)))


async def test_a_command_of_match_exec_that_hangs_is_ended_with_its_children(
    write: Write, facts: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    monkeypatch.setattr(ssh_config_fallback, "READ_TIMEOUT", 0.2)
    source = write(f'Match exec "sleep 600 & echo $! $$ > {pids}; wait"\n  Port 1\n')

    assert (await FallbackQuery(facts)(Request("relay", source=source)))["port"] == ["22"]

    started = [int(pid) for pid in pids.read_text().split()]
    await until(lambda: not any(map(is_alive, started)))


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def test_a_command_of_match_exec_runs_in_the_users_shell(
    write: Write, facts: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\n[ "$1 $2" = "-c mine" ]\n')
    shell.chmod(0o700)
    monkeypatch.setenv("SHELL", str(shell))

    answer = await FallbackQuery(facts)(
        Request("relay", source=write('Match exec "mine"\n  Port 1\n'))
    )

    assert answer["port"] == ["1"]


async def test_a_crowd_of_slow_lookups_delays_no_fast_one(
    write: Write, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DaemonThreads())  # as the programs do
    monkeypatch.setattr(ssh_config_fallback, "READ_TIMEOUT", 5.0)
    source = write('Match originalhost slow* exec "sleep 600"\n  Port 1\n')
    query = FallbackQuery(facts, timeout=600)
    async with asyncio.TaskGroup() as tasks, ending_children():
        slow = [
            tasks.create_task(query(Request(f"slow{number}", source=source)))
            for number in range(20)
        ]
        await asyncio.sleep(0)

        assert (await query(Request("fast", source=source)))["port"] == ["22"]
        assert not any(task.done() for task in slow)
        for task in slow:
            task.cancel()
    await until(lambda: not query._executor)
