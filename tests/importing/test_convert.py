"""Imported tunnels have the same forwards as ssh, from the command line and from ssh_config."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ssh_lines import answer_to, forwards_in, in_order
from tunnelkeeper.config import parse
from tunnelkeeper.importing.deduplicate import deduplicate
from tunnelkeeper.importing.source_commands import (
    Command,
    ImportedTunnel,
    NotImportable,
    SourceCommand,
)
from tunnelkeeper.importing.ssh_g_resolver import Resolver
from tunnelkeeper.importing.toml_text import format_tunnel
from tunnelkeeper.sshconfig import gather_facts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("ssh")

SSH_CONFIG = """\
Host office
  HostName office.example.com
  User ann
  Port 2200
  LocalForward 5432 db.internal:5432
  LocalForward /tmp/office.sock /run/office.sock
  RemoteForward 2222 localhost:22
  IdentityFile ~/.ssh/office
Host proxy
  DynamicForward 127.0.0.1:4711
  GatewayPorts yes
Host quiet
  ClearAllForwardings yes
"""

ADDRESSES = st.sampled_from(["", "", "*:", "127.0.0.1:", "[::1]:", "localhost:", ":"])
TARGETS = st.sampled_from(["localhost:22", "10.0.0.1:80", "[2001:db8::1]:443", "/run/b.sock"])
FLAGS = st.sampled_from(["-N", "-T", "-C", "-g", "-4", "-q", "-n", "-x"])
SETTINGS = st.sampled_from(
    [
        "ServerAliveInterval=30",
        "ServerAliveCountMax 2",
        "ExitOnForwardFailure=yes",
        "GatewayPorts=yes",
        "StrictHostKeyChecking=accept-new",
        "LocalForward=7001 [::1]:7002",
        "Compression=yes",
        "User=bob",
    ]
)


@st.composite
def command_arguments(draw: st.DrawFn) -> list[str]:
    words = ["-N"]
    ports = draw(st.lists(st.integers(10000, 20000), unique=True, max_size=4))
    for port in ports:
        letter = draw(st.sampled_from("LRD"))
        spec = f"{draw(ADDRESSES)}{port}"
        spec += "" if letter == "D" else f":{draw(TARGETS)}"
        words += draw(st.sampled_from([[f"-{letter}", spec], [f"-{letter}{spec}"]]))
    for flag in draw(st.lists(FLAGS, max_size=3)):
        words.insert(draw(st.integers(0, 1)), flag)
    for setting in draw(st.lists(SETTINGS, max_size=3, unique=True)):
        words += ["-o", setting]
    host = draw(st.sampled_from(["office", "proxy", "quiet", "ann@plain", "ssh://ann@h:2022"]))
    return [*words, host]


@pytest.fixture(scope="module")
def ssh_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ssh") / "config"
    path.write_text(SSH_CONFIG)
    return path


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(words=command_arguments())
def test_the_tunnel_forwards_what_ssh_forwards(words: list[str], ssh_config: Path) -> None:
    expected = in_order(forwards_in(answer_to(words, str(ssh_config))))

    [outcome] = import_line(words, ssh_config)

    if not expected:
        assert isinstance(outcome, NotImportable)
        assert outcome.forwards_nothing
    else:
        assert isinstance(outcome, ImportedTunnel), outcome
        tunnel = parse(format_tunnel(outcome), "").tunnels[outcome.name]
        assert in_order(tunnel.forwards) == expected


def import_line(words: list[str], source: Path) -> list[ImportedTunnel | NotImportable]:
    line = SourceCommand(Command("ssh", tuple(words)), "here")
    return deduplicate(Resolver(gather_facts(), str(source), str(source)).resolve([line]))


def table(words: list[str], source: Path) -> dict[str, object]:
    [outcome] = import_line(words, source)
    assert isinstance(outcome, ImportedTunnel), outcome
    return dict(outcome.table)


# -- only what the command sets becomes keys -------------------------------------------------------


def test_settings_of_an_alias_stay_in_ssh_config(ssh_config: Path) -> None:
    assert table(["-N", "-L", "1:a:2", "office"], ssh_config) == {
        "host": "office",
        "local": ["1:a:2", "5432:db.internal:5432", "/tmp/office.sock:/run/office.sock"],
        "remote": ["2222:localhost:22"],
    }


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("-p 22", {"port": 22}),
        ("-l bob", {"user": "bob"}),
        ("-o User=bob", {"user": "bob"}),
        ("-J a,ann@b:2222", {"jump": ["a", "ann@b:2222"]}),
        ("-J none", {"jump": []}),
        ("-o ProxyCommand=none", {"jump": []}),
        ("-i /k -i /l", {"identity_files": ["/k", "/l", "~/.ssh/office"]}),
        ("-i k", {"identity_files": ["/k", "~/.ssh/office"]}),
        ("-o CertificateFile=/c", {"certificate_files": ["/c"]}),
        ("-o IdentitiesOnly=yes", {"identities_only": True}),
        ("-o IdentityAgent=none", {"identity_agent": "none"}),
        ("-o IdentityAgent=SSH_AUTH_SOCK", {"identity_agent": "SSH_AUTH_SOCK"}),
        ("-o UserKnownHostsFile=/dev/null", {"known_hosts": ["/dev/null"]}),
        ("-o HostKeyAlias=x", {"host_key_alias": "x"}),
        ("-o StrictHostKeyChecking=yes", {"host_key_policy": "strict"}),
        ("-o StrictHostKeyChecking=no", {"host_key_policy": "accept-new"}),
        ("-6", {"address_family": "inet6"}),
        ("-b 10.0.0.1", {"bind_address": "10.0.0.1"}),
        ("-C", {"compression": True}),
        ("-o Compression=no", {"compression": False}),
        ("-c aes128-ctr", {"ciphers": "aes128-ctr"}),
        ("-m hmac-sha2-256", {"macs": "hmac-sha2-256"}),
        (
            "-o KexAlgorithms=+diffie-hellman-group14-sha1",
            {"kex_algorithms": "+diffie-hellman-group14-sha1"},
        ),
        ("-o HostKeyAlgorithms=+ssh-rsa", {"host_key_algorithms": "+ssh-rsa"}),
        ("-o ConnectTimeout=5", {"connect_timeout": 5}),
        ("-o ServerAliveInterval=30", {"keepalive_interval": 30}),
        ("-o ServerAliveInterval=0", {"keepalive_interval": 0}),
        ("-o ServerAliveCountMax=2", {"keepalive_count_max": 2}),
        ("-o TCPKeepAlive=no", {"tcp_keepalive": False}),
        ("-o ExitOnForwardFailure=yes", {"exit_on_forward_failure": True}),
        ("-o BatchMode=yes", {"batch_mode": True}),
        ("-o LogLevel=DEBUG -v -q -E /tmp/log", {}),
    ],
)
def test_options_of_the_command_become_keys(
    words: str, keys: dict[str, object], ssh_config: Path
) -> None:
    plain = table(["-N", "office"], ssh_config)

    assert table(["-N", *words.split(), "office"], ssh_config) == {**plain, **keys}


def test_the_destination_keeps_its_user_unless_an_option_overrides_it(ssh_config: Path) -> None:
    forward = ["-N", "-D", "1080"]

    assert table([*forward, "ann@h"], ssh_config)["host"] == "ann@h"
    overridden = table([*forward, "-l", "bob", "-p", "24", "ssh://ann@h:23"], ssh_config)
    assert (overridden["host"], overridden["user"], overridden["port"]) == ("h", "bob", 24)


def test_settings_of_another_ssh_config_become_keys(ssh_config: Path) -> None:
    line = SourceCommand(Command("ssh", ("-N", "-F", str(ssh_config), "office")), "here")

    [outcome] = Resolver(gather_facts(), target_ssh_config=False, source_ssh_config=False).resolve(
        [line]
    )

    assert isinstance(outcome, ImportedTunnel)
    assert outcome.table == {
        "host": "office",
        "local": ["5432:db.internal:5432", "/tmp/office.sock:/run/office.sock"],
        "remote": ["2222:localhost:22"],
        "user": "ann",
        "port": 2200,
        "identity_files": ["~/.ssh/office"],
        "hostname": "office.example.com",
    }
    assert any(note.startswith("-F") for note in outcome.notes)


# -- commands that are not tunnels -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("-L 1:a:2 office", "a shell on the server, because it has no -N"),
        ("-N -L 1:a:2 -W a:2 office", "tunnelkeeper connect"),
        ("-D 1080 office tmux attach", "a command on the server"),
        ("-s office sftp", "a command on the server"),
        ("-N -O check office", "-O opens no connection"),
        ("-N -Z office", "unknown option -Z"),
        ("-N", "expected a host, got none"),
        ("-N -o Nonsense=1 office", "Bad configuration option"),
        ("-N -L nonsense office", "Bad local forwarding specification"),
        ("-N plain", "forwards nothing"),
    ],
)
def test_a_command_that_is_not_a_tunnel_is_refused_with_a_reason(
    words: str, reason: str, ssh_config: Path
) -> None:
    [outcome] = import_line(words.split(), ssh_config)

    assert isinstance(outcome, NotImportable)
    assert reason in str(outcome.message)


def test_a_command_that_autossh_rejects_is_refused(ssh_config: Path) -> None:
    command = Command("autossh", ("-M", "0", "-N", "-D", "1", "office"), {"AUTOSSH_POLL": "0"})

    [outcome] = Resolver(gather_facts(), str(ssh_config), str(ssh_config)).resolve(
        [SourceCommand(command, "here")]
    )

    assert isinstance(outcome, NotImportable)
    assert "AUTOSSH_POLL" in outcome.reason


def test_a_conflicting_forward_is_left_out_with_a_note(
    ssh_config: Path,
) -> None:
    [outcome] = import_line(["-N", "-L", "1:a:2", "-D", "*:1", "-R", "1:b:3", "plain"], ssh_config)

    assert isinstance(outcome, ImportedTunnel)
    assert (outcome.table["local"], outcome.table["remote"]) == (["1:a:2"], ["1:b:3"])
    assert "*:1 is left out: 1:a:2 already listens on that address" in outcome.notes


def test_an_argument_with_a_newline_is_refused(ssh_config: Path) -> None:
    [outcome] = import_line(["-N", "-D", "1080", "-o", "User=a\nb", "office"], ssh_config)

    assert outcome == NotImportable(
        "here", "an argument contains control characters or is not UTF-8"
    )


NO_KEY_IS_KEPT = "every host key is accepted, a changed one too, because none is kept"
CHANGED_IS_REFUSED = "a new host key is accepted, a changed one is refused"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null", NO_KEY_IS_KEPT),
        ("-o StrictHostKeyChecking=off -o UserKnownHostsFile=none", NO_KEY_IS_KEPT),
        ("-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=/dev/null", NO_KEY_IS_KEPT),
        ("-o StrictHostKeyChecking=no", CHANGED_IS_REFUSED),
        ('-o StrictHostKeyChecking=no -o "UserKnownHostsFile=/dev/null /k"', CHANGED_IS_REFUSED),
        ("-o StrictHostKeyChecking=accept-new", None),
        ("-o StrictHostKeyChecking=yes -o UserKnownHostsFile=/dev/null", None),
        ("-o UserKnownHostsFile=/dev/null", None),
    ],
)
def test_a_note_tells_which_host_keys_are_accepted(
    options: str, expected: str | None, ssh_config: Path
) -> None:
    words = ["-N", "-L", "1:a:2", *shlex.split(options), "b"]
    [tunnel] = import_line(words, ssh_config)
    assert isinstance(tunnel, ImportedTunnel)
    notes = [note for note in tunnel.notes if "host key is accepted" in note]

    assert len(notes) == (expected is not None)
    assert expected is None or expected in notes[0]


def test_a_note_on_host_keys_considers_the_file_of_option_f(
    ssh_config: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_text("StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n")
    [tunnel] = import_line(["-N", "-F", str(other), "-L", "1:a:2", "b"], ssh_config)

    assert isinstance(tunnel, ImportedTunnel)
    assert any(NO_KEY_IS_KEPT in note for note in tunnel.notes)
