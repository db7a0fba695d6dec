"""Tokens and variables in socket paths, compared with `ssh -G`."""

from __future__ import annotations

import subprocess
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from tests.requirements import require
from tunnelkeeper.config import ConfigError
from tunnelkeeper.config.load import parse
from tunnelkeeper.core.configuration import Configuration, HostOptions, SupervisorOptions, Tunnel
from tunnelkeeper.core.forward_spec import UnixAddress, socket_paths, target_of
from tunnelkeeper.sshconfig import HostLookup, SshQuery, gather_facts
from tunnelkeeper.tunnel.forward_expansion import expand_forwards

if TYPE_CHECKING:
    from tunnelkeeper.core.forward_spec import Forward

SSH_CONFIG = "Host box\n  HostName box.example.com\n  User bob\n  Port 2200\n  HostKeyAlias alias\n"
TOKENS = "%C-%d-%h-%i-%k-%L-%l-%n-%p-%r-%u-%%"

SPECS = [
    ("local", "-L", "/run/${TK_TEST}-%p.sock:db:5432"),
    ("local", "-L", f"/run/{TOKENS}:db:5432"),
    ("local", "-L", "8080:/run/%n/${TK_TEST}.sock"),
    ("local", "-L", "[/run/at:%h]:[/run/to:%r]"),
    ("local", "-L", r"/run/a\:%p:db:5432"),
    ("local", "-L", "/run/$TK_TEST-%%p-~:db:5432"),
    ("local", "-L", "/run/${TK_PERCENT}:db:5432"),
    ("local", "-L", "${TK_PORT}:${TK_TEST}.internal:80"),
    ("local", "-L", "${TK_SPEC}"),
    ("local", "-L", "[::1]:8080:[fe80::1%25]:80"),
    ("remote", "-R", "/run/${TK_TEST}-%h:/run/%L"),
    ("remote", "-R", "/run/%i"),
    ("remote", "-R", "2222:/run/%d/${TK_TEST}"),
    ("socks", "-D", "/run/${TK_TEST}-%k"),
]
"""The key of the config file, the option of ssh, and the forward."""
if Path("/etc/services").exists():
    SPECS += [
        ("local", "-L", "http:db:https"),
        ("remote", "-R", "ftp:db:ssh"),
        ("socks", "-D", "localhost:telnet"),
    ]
WRONG = [
    ("/run/%y:db:1", "unknown token %y"),
    ("/run/%T:db:1", "unknown token %T"),
    ("/run/a%:db:1", "a percent sign at the end"),
    ("/run/${TK_TEST:db:1", "'${' without '}'"),
    ("/run/${TK_UNSET}:db:1", "the environment has no variable TK_UNSET"),
    ("8080:db:no-such-service", "expected a port from 1 to 65535, got 'no-such-service'"),
    ("${TK_UNSET}:db:1", "the environment has no variable TK_UNSET"),
]


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables of the specs."""
    monkeypatch.setenv("TK_TEST", "value")
    monkeypatch.setenv("TK_PORT", "8080")
    monkeypatch.setenv("TK_SPEC", "/run/%p:db:5432")
    monkeypatch.setenv("TK_PERCENT", "%h-${TK_TEST}")


def read_tunnel(kind: str, spec: str, host: str = "box") -> Tunnel:
    """Return the tunnel of a config file with one forward."""
    return parse(f"[tunnels.t]\nhost = '{host}'\n{kind} = ['{spec}']\n", "t.toml").tunnels["t"]


async def expand_forward(tunnel: Tunnel, ssh_config: str) -> Forward:
    configuration = Configuration("t.toml", SupervisorOptions(ssh_config=ssh_config))
    lookup = HostLookup(configuration, SshQuery(), gather_facts(), monotonic)
    hosts = await lookup.resolve(tunnel)
    [expanded] = expand_forwards(tunnel, gather_facts(), hosts[-1].tokens)
    assert not expanded.waits_for_lookup
    return expanded.forward


def ssh_g(option: str, spec: str, ssh_config: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require("ssh"), "-G", "-F", ssh_config, option, spec, "box"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def ssh_config(tmp_path: Path) -> str:
    path = tmp_path / "ssh_config"
    path.write_text(SSH_CONFIG)
    return str(path)


@pytest.mark.parametrize(("kind", "option", "spec"), SPECS)
async def test_paths_are_expanded_as_by_ssh(
    kind: str, option: str, spec: str, ssh_config: str
) -> None:
    forward = await expand_forward(read_tunnel(kind, spec), ssh_config)

    printed = ssh_g(option, spec, ssh_config).stdout.splitlines()
    [line] = [line for line in printed if line.startswith(f"{kind.replace('socks', 'dynamic')}f")]
    ends = [forward.listen, *([target] if (target := target_of(forward)) else [])]
    written = [end.path if isinstance(end, UnixAddress) else str(end.port) for end in ends]
    shown = line.split(" ")[1:]
    assert [end if "/" in end else end.rpartition(":")[2] for end in shown][: len(ends)] == written


@pytest.mark.parametrize(("spec", "message"), WRONG)
def test_what_ssh_rejects_is_rejected_with_the_line_and_the_key(
    spec: str, message: str, ssh_config: str
) -> None:
    assert ssh_g("-L", spec, ssh_config).returncode != 0
    with pytest.raises(ConfigError) as caught:
        read_tunnel("local", spec)
    [problem] = caught.value.problems
    assert str(problem).startswith(f"t.toml:3: tunnels.t.local[0]: {message}")


@pytest.mark.parametrize("letter", "Chjkpr")
def test_a_token_of_the_host_waits_for_its_lookup(letter: str) -> None:
    [expanded] = expand_forwards(read_tunnel("local", f"/run/%{letter}:db:1"), gather_facts(), {})

    assert expanded.waits_for_lookup


@pytest.mark.parametrize("letter", "diLlnu")
def test_other_tokens_need_no_lookup(letter: str) -> None:
    [expanded] = expand_forwards(
        read_tunnel("local", f"/run/%{letter}:db:1", "me@box:22"), gather_facts(), {}
    )

    assert not expanded.waits_for_lookup
    assert "%" not in str(expanded.forward)


async def test_keys_of_the_tunnel_count_for_its_tokens(ssh_config: str) -> None:
    tunnel = read_tunnel("local", "/run/%n-%h-%r-%p:db:1")
    options = HostOptions(hostname="127.0.0.2", user="ann", port=(443, 22))
    forward = await expand_forward(replace(tunnel, options=options), ssh_config)

    assert socket_paths(forward) == ("/run/box-127.0.0.2-ann-443",)


@pytest.mark.parametrize(
    ("path", "conflicts"),
    [("/run/%n", False), ("/run/%h-a", False), ("/run/%%n", True), ("/run/${HOME}", True)],
)
def test_equal_paths_of_two_tunnels_conflict_unless_their_tokens_differ(
    path: str, conflicts: bool
) -> None:
    text = "".join(
        f"[tunnels.{name}]\nhost = '{name}'\nlocal = '{path}:db:1'\n" for name in ("a", "b")
    )
    with pytest.raises(ConfigError) if conflicts else nullcontext():
        parse(text, "t.toml")
    with pytest.raises(ConfigError, match="listens already"):
        parse(f"[tunnels.a]\nhost = 'a'\nlocal = ['{path}:b:1', '{path}:c:1']\n", "t.toml")
