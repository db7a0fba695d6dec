"""The table of parsers. Each reads what it may get from another program, user or machine."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING
from unittest.mock import patch

import asyncssh

from tests.fuzz.seeds import (
    AUTOSSH,
    CERTIFICATE,
    CRONTAB,
    KEY,
    KEY_BLOB,
    KNOWN_HOSTS,
    KRL,
    OPENSSH_KEY,
    PEM_KEY,
    PKCS8_KEY,
    PROMPTS,
    RELAY,
    SSH_CONFIG,
    TUNNELS,
    UNIT,
)
from tests.fuzz.target import Target
from tunnelkeeper import config
from tunnelkeeper.autossh.command_line import information_flag, parse_autossh
from tunnelkeeper.autossh.environment import parse_environment
from tunnelkeeper.autossh.ssh_command import CommandLineError
from tunnelkeeper.config.ad_hoc import InvalidTunnelError, check_name, resolve_tunnel
from tunnelkeeper.config.command_words import WordsError, read_tunnel
from tunnelkeeper.config.toml_edit import NotATableError, remove_tunnels
from tunnelkeeper.config.toml_values import format_table
from tunnelkeeper.control.jsonrpc import (
    ProtocolError,
    decode_incoming,
    decode_params,
    decode_request,
)
from tunnelkeeper.control.payloads import ConnectParams, OpenParams, SubscribeParams
from tunnelkeeper.core.ad_hoc import name_for_host
from tunnelkeeper.core.configuration import Configuration
from tunnelkeeper.core.forward_spec import (
    SpecError,
    parse_listen,
    parse_local,
    parse_remote,
    parse_socks,
    parse_target,
)
from tunnelkeeper.core.host_spec import HostSpecError, parse_host_spec
from tunnelkeeper.forwarding.socks import Handshake
from tunnelkeeper.forwarding.socks_passwords import parse_passwords
from tunnelkeeper.importing.crontab import find_crontab_commands
from tunnelkeeper.importing.environment_file import parse_environment_file
from tunnelkeeper.importing.specifiers import UnitName, make_unit_specifiers
from tunnelkeeper.importing.ssh_config_names import parse_host_names
from tunnelkeeper.importing.systemd_service import Service, find_service_commands
from tunnelkeeper.net import rtnetlink
from tunnelkeeper.net.peer_user import TcpEnds, UnknownUserError, parse_answer
from tunnelkeeper.relay import authorized_keys, bans
from tunnelkeeper.relay import config as relay_config
from tunnelkeeper.relay.key_file import KeyFile
from tunnelkeeper.ssh.auth import known_hosts, openssh_certificate, revocation_list
from tunnelkeeper.ssh.auth.key_encryption import BrokenKeyError, encryption_of
from tunnelkeeper.ssh.auth.password_methods import read_round
from tunnelkeeper.ssh.ssh_config_fallback import FallbackQuery, SshConfigReader
from tunnelkeeper.sshconfig import Request, gather_facts
from tunnelkeeper.sshconfig.ssh_g_output import parse_output

if TYPE_CHECKING:
    from pathlib import Path

FACTS = gather_facts()
ENDS = TcpEnds(2, ("127.0.0.1", 4), ("127.0.0.1", 5))


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def read_socks(data: bytes) -> None:
    for handshake in (Handshake(), Handshake(lambda user, password: user == password)):
        for start in range(0, len(data), 7):
            handshake.receive(data[start : start + 7])
            if handshake.rejection is not None or handshake.request is not None:
                break


def read_control_line(data: bytes) -> None:
    with suppress(ProtocolError):
        request = decode_request(data)
        for kind in (ConnectParams, SubscribeParams):
            with suppress(ProtocolError):
                decode_params(request, kind)
    with suppress(ProtocolError):
        decode_incoming(data)


def read_ad_hoc_tunnel(data: bytes) -> None:
    """Resolve the table of a request to open a tunnel, and make a name for it."""
    with suppress(ProtocolError, InvalidTunnelError):
        params = decode_params(decode_request(data), OpenParams)
        check_name(name_for_host(str(params.table.get("host", "")), ()))
        resolve_tunnel("t", params.table, Configuration("tunnels.toml"))


def read_tunnels(data: bytes) -> None:
    """Parse a file, and remove all of its tunnels from the text."""
    text = text_of(data)
    with suppress(config.ConfigError, NotATableError):
        names = config.parse(text, "tunnels.toml").tunnels
        assert not config.parse(remove_tunnels(text, names), "tunnels.toml").tunnels


def read_words(data: bytes) -> None:
    """Parse the words of `tunnelkeeper add`, and the table that it would write."""
    host, spec, *words = f"{text_of(data)}\0\0".split("\0")
    with suppress(WordsError):
        table = read_tunnel(host, {"local": [spec]}, [word for word in words if word])
        with suppress(config.ConfigError):  # keys that exclude each other
            config.parse(format_table("tunnels", "t", table), "tunnels.toml")


def read_relay(data: bytes) -> None:
    with suppress(config.ConfigError):
        relay_config.parse(text_of(data), "relay.toml")


def read_ssh_config(data: bytes) -> None:
    """Parse with the reader for machines without ssh. It runs no command and reads no file."""
    parse_host_names(text_of(data))

    def open_text(_path: Path) -> io.StringIO:
        return io.StringIO(data.decode())

    with (
        patch.object(asyncssh.config, "open", open_text),
        patch.object(asyncssh.config, "_exec", lambda _command: False),
        patch.object(SshConfigReader, "include_sorted", SshConfigReader.skip),
        suppress(ValueError, asyncssh.Error),
    ):
        FallbackQuery(FACTS)._read(Request("relay", source="config"))


def read_forward_spec(data: bytes) -> None:
    parsers = (parse_local, parse_remote, parse_socks, parse_listen, parse_target)
    for parse in parsers:
        with suppress(SpecError):
            parsed = parse(text_of(data))
            assert str(parsed)
    with suppress(HostSpecError):
        parse_host_spec(text_of(data))


def read_autossh_line(data: bytes) -> None:
    arguments = text_of(data).split("\n")
    with suppress(CommandLineError):
        if information_flag(arguments) is None:
            parse_autossh(arguments)
    with suppress(CommandLineError):
        names = ("PORT", "POLL", "GATETIME", "LOGLEVEL", "MAXSTART", "MAXLIFETIME", "MESSAGE")
        parse_environment({f"AUTOSSH_{name}": arguments[0] for name in names})


def read_authorized_keys(data: bytes) -> None:
    authorized_keys.parse(text_of(data), "keys")
    list(KeyFile(data, "keys"))


def read_ban(data: bytes) -> None:
    words = text_of(data).split("\n")
    with suppress(ValueError):
        ban = bans.ban_of(words[0], words[-1], None)
        assert bans.parse_target(str(ban)) == ban.target


def read_revocation_list(data: bytes) -> None:
    with suppress(revocation_list.RevocationListError):
        revocation_list.parse(data)


def read_prompts(data: bytes) -> None:
    with suppress(asyncssh.packet.PacketDecodeError):
        text, prompts = read_round(asyncssh.packet.SSHPacket(data)).question("ann@server:22")
        assert text.isprintable()
        assert all(prompt.text.isprintable() for prompt in prompts)


def read_encrypted_key(data: bytes) -> None:
    """Read how a private key file is encrypted; refuse a broken one."""
    with suppress(BrokenKeyError):
        encryption_of(data)


def read_certificate(data: bytes) -> None:
    openssh_certificate.signer_of(data)
    with suppress(openssh_certificate.CertificateError):
        openssh_certificate.parse_certificate(data)
    openssh_certificate.presented_key(data)


def read_unit(data: bytes) -> None:
    name = UnitName("tunnel@box.service")
    text = text_of(data)
    specifiers = make_unit_specifiers(name, "/etc/systemd/system/tunnel@.service")
    service = Service(name, "unit", text, {**specifiers, "u": "ann"}, "root", is_user=False)
    find_service_commands(service, lambda _path: text, lambda _user: "/home/ann")
    parse_environment_file(text)


def read_crontab(data: bytes) -> None:
    for has_user_field in (False, True):
        find_crontab_commands(text_of(data), "crontab", {}, has_user_field=has_user_field)


def read_passwords(data: bytes) -> None:
    with suppress(ValueError):
        parse_passwords(data)


def read_kernel_answer(data: bytes) -> None:
    for _, body in rtnetlink.messages(data):
        rtnetlink.address(body)
        rtnetlink.route(body)
    with suppress(UnknownUserError):
        parse_answer(data, ENDS)


TARGETS = (
    Target(
        "SOCKS",
        read_socks,
        (
            b"\x05\x02\0\x02\x01\x01a\x01a\x05\x01\0\x03\x02db\0\x50",
            b"\x04\x01\0\x50\0\0\0\x01a\0db\0",
        ),
        (b"\x05\x01\0\x01", b"\x05\x01\0\x04", b"GET "),
    ),
    Target("SOCKS passwords", read_passwords, (b"# a\nann:secret\n\nbox:b\n",), (b":", b"\n")),
    Target(
        "control protocol",
        read_control_line,
        (
            b'{"jsonrpc":"2.0","id":1,"method":"connect","params":{"name":"a","target":"b:1"}}\n',
            b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x","data":{}}}\n',
        ),
        (b"null", b"[]", b"{}", b'"id"', b"1e999", b"\\ud800"),
    ),
    Target(
        "ad-hoc tunnels",
        read_ad_hoc_tunnel,
        (
            b'{"jsonrpc":"2.0","id":1,"method":"open","params":{"table":{"host":"me@relay"}}}',
            b'{"jsonrpc":"2.0","id":1,"method":"open","params":{"table":{"local":["1:b:1"]}}}',
            b'{"jsonrpc":"2.0","method":"open","params":{"table":{"backoff":{"max":"1s"}}}}',
        ),
        (b"null", b"[]", b"{}", b'"socks"', b"1e999", b"\\ud800", b"\\u0000", b"true", b"-1"),
    ),
    Target(
        "tunnels.toml",
        read_tunnels,
        (TUNNELS,),
        (b"[", b"]", b"'", b'"', b"\\u0000", b"true", b"-1", b"nan", b"${A}", b"%h"),
    ),
    Target(
        "words of add",
        read_words,
        (b"me@relay\0005432:db:5432\0port=[22, 443]\0backoff.max=10s\0on_up=a b\0tag=x",),
        (b"\0", b"=", b"[", b"]", b"{", b'"', b"#", b"\n", b"local=", b"user=", b"backoff."),
    ),
    Target(
        "relay.toml", read_relay, (RELAY,), (b"[", b"]", b'"', b"-1", b"nan", b"names = ", b"*")
    ),
    Target(
        "ssh_config",
        read_ssh_config,
        (SSH_CONFIG,),
        (b"Match ", b"final ", b"all", b"exec ", b"canonical ", b'"', b"%%", b"%", b"=", b"\n"),
    ),
    Target("ssh -G", lambda data: parse_output(text_of(data)), (b"host a\nport 22\nfoo\n",)),
    Target(
        "authorized_keys",
        read_authorized_keys,
        (b'restrict,from="10.0.0.0/8,!x",permitopen="a:1",expiry-time="20301231Z" ' + KEY,),
        (KEY, b"cert-authority,", b'permitlisten="', b'"', b"\\", b",", b"\n", b"principals="),
    ),
    Target(
        "known_hosts",
        lambda data: known_hosts.parse(text_of(data), "hosts"),
        (KNOWN_HOSTS,),
        (KEY, b"@revoked ", b"|1|", b"!", b"*", b"\n"),
    ),
    Target(
        "ban",
        read_ban,
        (b"203.0.113.0/24\n2026-11-22T12:00:00Z", b"::ffff:192.0.2.7\n2026-11-22T12:00:00+01:00"),
        (b"/", b":", b"SHA256:", b"%eth0", b"T", b"-", b"9999"),
    ),
    Target("revocation list", read_revocation_list, (KRL, KEY), (b"\x01", b"\xff\xff\xff\xff")),
    Target("login prompts", read_prompts, (PROMPTS,), (b"\0\0\0\0", b"\xff" * 4)),
    Target("certificate", read_certificate, (CERTIFICATE, KEY_BLOB), (b"\0\0\0\0", b"\xff" * 4)),
    Target(
        "encrypted key",
        read_encrypted_key,
        (OPENSSH_KEY, PEM_KEY, PKCS8_KEY),
        (b"-----BEGIN ", b"ENCRYPTED ", b"PRIVATE KEY-----", b"\n", b"AAAA", b"DEK-Info: ", b":"),
    ),
    Target(
        "forward spec",
        read_forward_spec,
        (b"[::1]:8080:web:80", b"/a/b:c:1", b"1080", b"ann@relay:22", b"*:1:[::2]:2"),
        (b":", b"[", b"]", b"\\", b"/", b"*", b"@", b"%", b"65536"),
    ),
    Target(
        "autossh command line",
        read_autossh_line,
        (AUTOSSH, b"-fNMD1080\n--\nrelay", b"-V"),
        (b"\n-o\n", b"\n-W\n", b"\n--\n", b"=", b"-", b"ssh://", b"\n"),
    ),
    Target(
        "unit",
        read_unit,
        (UNIT, b"A='b'\\\nC=\"$d\"\n#x"),
        (b"%", b"%%", b"$", b"${", b"\\x41", b"\\", b"'", b'"', b";", b"ExecStart=", b"\n"),
    ),
    Target(
        "crontab",
        read_crontab,
        (CRONTAB,),
        (b"@reboot ", b"ssh ", b"$(", b"`", b"&&", b"'", b'"', b"\\", b"%", b"<<", b"su - a -c "),
    ),
    Target(
        "kernel messages",
        read_kernel_answer,
        (rtnetlink.route_request("10.0.0.1", 1), rtnetlink.dump_request(22, 1)),
        (b"\x14\0", b"\x18\0", b"\x04\0", b"\xff\xff"),
    ),
)
"""Every parser of text or bytes from outside. SSH packets are parsed by asyncssh."""
