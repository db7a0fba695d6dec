"""Directives of ssh_config that refuse host keys and user keys: the same outcome as with ssh."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.autossh_program import own_autossh
from tests.e2e.keys import certify_host, make_key, public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER, Sandbox, tunnel_table
from tests.requirements import require

if TYPE_CHECKING:
    from pathlib import Path

REFUSED, ACCEPTED = False, True


def run_both(sandbox: Sandbox, hosts: dict[str, str]) -> tuple[dict[str, bool], dict[str, str]]:
    """Log in to every host of an ssh_config with ssh and with tunnelkeeper.

    hosts: the lines of each alias. Return whether ssh logs in, and what tunnelkeeper says: `up` or
    the cause and message of its failure.
    """
    config = sandbox.directory / "ssh_config"
    text = "".join(f"Host {alias}\n{lines}\n" for alias, lines in hosts.items())
    config.write_text(
        f"{text}\nMatch all\n  HostName 127.0.0.1\n  User {USER}\n  IdentityFile {sandbox.key}\n"
        f"  IdentitiesOnly yes\n  IdentityAgent none\n  BatchMode yes\n"
        f"  UserKnownHostsFile {sandbox.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
    )
    program = sandbox.program(
        *(tunnel_table(alias, alias, f'socks = "{free_port()}"') for alias in hosts),
        head=f'[supervisor]\nssh_config = "{config}"\n\n',
    )
    program.up()
    with_ssh = {}
    for alias in hosts:
        command = [require("ssh"), "-F", str(config), alias, "true"]
        with_ssh[alias] = subprocess.run(command, check=False, capture_output=True).returncode == 0
    outcomes = {}
    for alias in hosts:
        tunnel = program.wait_for(alias, lambda t: t.state in {"up", "blocked", "backoff"})
        failure = tunnel.failure
        outcomes[alias] = "up" if failure is None else f"{failure.cause}: {failure.message}"
    return with_ssh, outcomes


def check(sandbox: Sandbox, cases: dict[str, tuple[str, bool, str]]) -> None:
    """Assert that ssh and tunnelkeeper agree, and that the message of a refusal has some words.

    cases: the lines of ssh_config, the expected outcome, and the words.
    """
    with_ssh, outcomes = run_both(sandbox, {alias: case[0] for alias, case in cases.items()})

    assert with_ssh == {alias: case[1] for alias, case in cases.items()}
    for alias, (_, accepted, words) in cases.items():
        assert (outcomes[alias] == "up") == accepted, outcomes
        assert words in outcomes[alias]


def write_krl(path: Path, *arguments: str) -> Path:
    subprocess.run([require("ssh-keygen"), "-q", "-k", "-f", str(path), *arguments], check=True)
    return path


def test_revoked_host_keys_are_refused(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    other = make_key(sandbox.directory / "other")
    folder = sandbox.directory
    (folder / "list").write_text(f"# stolen\n\n{public(other)} x\n{public(server.host_key)} y\n")
    (folder / "others").write_text(f"{public(other)}\n")
    (folder / "broken").write_text(f"{public(other)}\nssh-ed25519 AAAA\n")
    write_krl(folder / "krl", f"{server.host_key}.pub")
    write_krl(folder / "krl_of_others", f"{other}.pub")
    cut = folder / "cut_krl"
    cut.write_bytes((folder / "krl").read_bytes()[:-3])
    at = f"  Port {server.port}\n  RevokedHostKeys {folder}"

    check(
        sandbox,
        {
            "listed": (f"{at}/list", REFUSED, "is revoked by"),
            "not-listed": (f"{at}/others", ACCEPTED, "up"),
            "in-krl": (f"{at}/krl", REFUSED, "is revoked by"),
            "not-in-krl": (f"{at}/krl_of_others", ACCEPTED, "up"),
            "missing": (f"{at}/none", REFUSED, "No such file"),
            "broken": (f"{at}/broken", REFUSED, "line 2"),
            "cut": (f"{at}/cut_krl", REFUSED, "cut short"),
            "empty": (f"  Port {server.port}\n  RevokedHostKeys /dev/null", ACCEPTED, "up"),
        },
    )


@pytest.mark.parametrize("setting", ["RevokedHostKeys={key}", "RequiredRSASize=2048"])
def test_an_autossh_line_refuses_a_host_key_as_ssh_does(sandbox: Sandbox, setting: str) -> None:
    host_key = make_key(sandbox.directory / "host_rsa", "rsa", bits=1024)
    server = sandbox.sshd(known=False, HostKey=str(host_key), RequiredRSASize="1024")
    sandbox.add_known_host(f"[127.0.0.1]:{server.port}", public(host_key))
    option = ["-o", setting.format(key=f"{host_key}.pub")]
    login = sandbox.ssh(server.port, *option, "127.0.0.1", "true")
    line = [str(own_autossh(sandbox.directory)), "-M", "0", *login[1:]]

    for command in (login, line):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode in {1, 255}
    assert setting.partition("=")[0] in done.stderr or "is revoked by" in done.stderr
    assert server.logins() == 0


def test_a_login_that_ssh_config_forbids_is_refused(sandbox: Sandbox) -> None:
    at = f"  Port {sandbox.sshd().port}\n"

    check(
        sandbox,
        {
            "no-method": (f"{at}  PreferredAuthentications hostbased", REFUSED, "ssh_config"),
            "keys-too": (f"{at}  PreferredAuthentications password,publickey", ACCEPTED, "up"),
            "interface": (f"{at}  BindInterface lo", ACCEPTED, "up"),
            "no-interface": (f"{at}  BindInterface none0", REFUSED, "none0"),
        },
    )


def test_the_host_key_of_this_machine_need_not_be_known_if_ssh_config_says_so(
    sandbox: Sandbox,
) -> None:
    at = f"  Port {sandbox.sshd(known=False).port}\n"
    proxy = f"  ProxyCommand {require('ncat')} 127.0.0.1 %p"
    exempt = f"{at}  NoHostAuthenticationForLocalhost yes\n"

    check(
        sandbox,
        {
            "unknown": (at, REFUSED, "no host key is known"),
            "exempt": (exempt, ACCEPTED, "up"),
            "alias": (f"{exempt}  HostKeyAlias a", REFUSED, "no host key is known"),
            "proxy": (
                f"{exempt}{proxy}",
                REFUSED,
                "no host key is known",
            ),
        },
    )


def test_a_restored_list_of_revoked_keys_ends_the_wait(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    revoked = sandbox.directory / "revoked"
    program = sandbox.program(
        tunnel_table(
            "t",
            server.port,
            f'socks = "{free_port()}"',
            f'revoked_host_keys = "{revoked}"',
        )
    )
    assert str(revoked) in program.run("check").stderr
    program.up()
    program.wait_for_state("t", "blocked", "host_key_unknown")
    revoked.write_text("")
    program.wait_until_up()


def test_a_certificate_and_its_authority_can_be_revoked(sandbox: Sandbox) -> None:
    folder = sandbox.directory
    authority = make_key(folder / "ca")
    key = make_key(folder / "host")
    certificate = certify_host(authority, key, "127.0.0.1")
    server = sandbox.sshd(known=False, HostKey=str(key), HostCertificate=str(certificate))
    sandbox.add_known_host("*", public(authority), "@cert-authority")
    (folder / "ids").write_text("id: host\n")
    (folder / "other_ids").write_text("id: somebody\n")
    write_krl(folder / "by_id", "-s", f"{authority}.pub", str(folder / "ids"))
    write_krl(folder / "by_other_id", "-s", f"{authority}.pub", str(folder / "other_ids"))
    (folder / "by_ca").write_text(f"{public(authority)}\n")
    at = f"  Port {server.port}\n  RevokedHostKeys {folder}"

    check(
        sandbox,
        {
            "by-id": (f"{at}/by_id", REFUSED, "certificate"),
            "by-other-id": (f"{at}/by_other_id", ACCEPTED, "up"),
            "by-ca": (f"{at}/by_ca", REFUSED, "certificate"),
        },
    )


def test_a_certificate_needs_a_signature_algorithm_that_is_allowed(sandbox: Sandbox) -> None:
    folder = sandbox.directory
    cases: dict[str, tuple[str, bool, str]] = {}
    for kind, algorithm in (("ecdsa", "ecdsa-sha2-nistp256"), ("rsa", "rsa-sha2-512")):
        authority = make_key(folder / f"ca_{kind}", kind)
        key = make_key(folder / f"host_{kind}")
        certificate = certify_host(authority, key, "127.0.0.1")
        server = sandbox.sshd(known=False, HostKey=str(key), HostCertificate=str(certificate))
        sandbox.add_known_host(f"[127.0.0.1]:{server.port}", public(authority), "@cert-authority")
        at = f"  Port {server.port}\n"
        cases |= {
            f"{kind}-default": (at, ACCEPTED, "up"),
            f"{kind}-allowed": (f"{at}  CASignatureAlgorithms {algorithm}", ACCEPTED, "up"),
            f"{kind}-excluded": (f"{at}  CASignatureAlgorithms -{algorithm[:5]}*", REFUSED, ""),
            f"{kind}-other": (f"{at}  CASignatureAlgorithms ssh-ed25519", REFUSED, ""),
        }

    check(sandbox, cases)


def test_rsa_keys_below_the_required_size_are_refused(sandbox: Sandbox) -> None:
    folder = sandbox.directory
    host_key = make_key(folder / "host_rsa", "rsa", bits=1024)
    small = make_key(folder / "small", "rsa", bits=1024)
    with sandbox.authorized_keys.open("a") as file:
        file.write(f"{public(small)}\n")
    rsa = sandbox.sshd(known=False, HostKey=str(host_key), RequiredRSASize="1024")
    sandbox.add_known_host(f"[127.0.0.1]:{rsa.port}", public(host_key))
    server = sandbox.sshd(RequiredRSASize="1024")
    own_key = f"  Port {server.port}\n  IdentityFile {small}\n"

    check(
        sandbox,
        {
            "host-default": (f"  Port {rsa.port}", ACCEPTED, "up"),
            "host-large": (f"  Port {rsa.port}\n  RequiredRSASize 2048", REFUSED, "1024 bits"),
            "host-below": (f"  Port {rsa.port}\n  RequiredRSASize 512", ACCEPTED, "up"),
            "other-type": (f"  Port {server.port}\n  RequiredRSASize 4096", ACCEPTED, "up"),
            "user-and-ed25519": (f"{own_key}  RequiredRSASize 2048", ACCEPTED, "up"),
        },
    )
