"""An import keeps every directive that protects, or fails: none is dropped silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.config import parse
from tunnelkeeper.core.ssh_directives import DIRECTIVES, Support
from tunnelkeeper.importing.deduplicate import deduplicate
from tunnelkeeper.importing.host_table import SUPPORTED_KEYWORDS
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

    from tunnelkeeper.importing.deduplicate import Outcome

pytestmark = pytest.mark.usefixtures("ssh")

READ_BY_SSH = {
    "CanonicalDomains",
    "CanonicalizeFallbackLocal",
    "CanonicalizeHostname",
    "CanonicalizeMaxDots",
    "CanonicalizePermittedCNAMEs",
    "Host",
    "IgnoreUnknown",
    "Include",
    "Match",
}
"""Directives that have done their work when `ssh -G` answers, so that no key is needed."""

ALLOW_MORE_OR_WARN = {"NoHostAuthenticationForLocalhost", "WarnWeakCrypto"}
"""Without these a tunnel does less. A note in the import names them."""


def imported(tmp_path: Path, *settings: str, in_file: bool = False) -> Outcome:
    """Import a command line with these settings, behind -o or in the file of -F."""
    empty, file = tmp_path / "empty", tmp_path / "file"
    empty.write_text("")
    file.write_text("".join(f"{setting}\n" for setting in settings) if in_file else "")
    options = [] if in_file else [part for setting in settings for part in ("-o", setting)]
    words = ["-N", "-L", "8080:a:80", "-F", str(file), *options, "relay"]
    line = SourceCommand(Command("ssh", tuple(words)), "here")
    [outcome] = deduplicate(Resolver(gather_facts(), str(empty), str(empty)).resolve([line]))
    return outcome


def notes_on(setting: str, outcome: ImportedTunnel) -> list[str]:
    keyword = setting.split(maxsplit=1)[0].lower()
    return [note for note in outcome.notes if keyword in note.lower()]


def test_every_honoured_directive_has_a_key_that_imports_write() -> None:
    honoured = {name for name, d in DIRECTIVES.items() if d.support is Support.HONOURED}
    without_key = {name for name in honoured if name.lower() not in SUPPORTED_KEYWORDS}

    # ssh itself, and so the import, fails for a host with RefuseConnection.
    # Without forwards there is nothing to import.
    forbid_everything = {"RefuseConnection", "ClearAllForwardings"}
    assert without_key == READ_BY_SSH | ALLOW_MORE_OR_WARN | forbid_everything


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize(
    ("setting", "key", "expected"),
    [
        ("RevokedHostKeys /etc/revoked", "revoked_host_keys", ["/etc/revoked"]),
        ("RequiredRSASize 3072", "required_rsa_size", 3072),
        ("CASignatureAlgorithms ssh-ed25519", "ca_signature_algorithms", "ssh-ed25519"),
        ("PubkeyAcceptedAlgorithms ssh-ed25519", "pubkey_accepted_algorithms", "ssh-ed25519"),
        ("PubkeyAcceptedKeyTypes ssh-ed25519", "pubkey_accepted_algorithms", "ssh-ed25519"),
        ("HostKeyAlgorithms ssh-ed25519", "host_key_algorithms", "ssh-ed25519"),
        ("PermitRemoteOpen db:5432 *:80", "permit_remote_open", "db:5432 *:80"),
        ("GlobalKnownHostsFile /dev/null", "system_known_hosts", ["/dev/null"]),
        ("CheckHostIP yes", "check_host_ip", True),
        ("HashKnownHosts yes", "hash_known_hosts", True),
        ("BindInterface lo", "bind_interface", "lo"),
        ("KnownHostsCommand /bin/keys %H", "known_hosts_command", "/bin/keys %H"),
        ("RekeyLimit 1G 1h", "rekey_limit", "1073741824 3600"),
        ("IPQoS cs1", "ip_qos", "cs1 cs1"),
        ("StreamLocalBindMask 0111", "stream_local_bind_mask", "0111"),
        ("IdentitiesOnly yes", "identities_only", True),
        ("StrictHostKeyChecking yes", "host_key_policy", "strict"),
        ("BatchMode yes", "batch_mode", True),
        ("NumberOfPasswordPrompts 1", "number_of_password_prompts", 1),
        ("PreferredAuthentications password", "preferred_authentications", "password"),
        ("PreferredAuthentications other,publickey", "preferred_authentications", "publickey"),
        ("PubkeyAuthentication no", "pubkey_authentication", False),
        ("PasswordAuthentication no", "password_authentication", False),
        ("KbdInteractiveAuthentication no", "kbd_interactive_authentication", False),
        ("AddKeysToAgent confirm 8h", "add_keys_to_agent", "confirm 28800"),
        ("AddKeysToAgent yes", "add_keys_to_agent", "yes"),
        ("UpdateHostKeys no", "update_host_keys", False),
    ],
)
def test_a_directive_becomes_a_key(
    tmp_path: Path, setting: str, key: str, expected: object, in_file: bool
) -> None:
    outcome = imported(tmp_path, setting, in_file=in_file)

    assert isinstance(outcome, ImportedTunnel), outcome
    assert outcome.table.get(key) == expected or (in_file and key == "host_key_policy")
    assert not notes_on(setting, outcome)
    assert parse(format_tunnel(outcome), "tunnels.toml").tunnels


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        ["PreferredAuthentications hostbased"],
        ["ProxyUseFdpass yes", "ProxyCommand nc %h %p"],
    ],
)
def test_a_directive_that_forbids_what_the_tunnel_would_do_fails(
    tmp_path: Path, settings: list[str], in_file: bool
) -> None:
    outcome = imported(tmp_path, *settings, in_file=in_file)

    assert isinstance(outcome, NotImportable)
    assert settings[0].split()[0] in outcome.reason


@pytest.mark.parametrize(
    "setting",
    [
        "PKCS11Provider /usr/lib/p11.so",
        "VerifyHostKeyDNS yes",
        "Tunnel yes",
        "NoHostAuthenticationForLocalhost yes",
        "HostbasedAuthentication yes",
    ],
)
def test_a_directive_that_is_dropped_is_named_in_a_note(tmp_path: Path, setting: str) -> None:
    outcome = imported(tmp_path, setting)

    assert isinstance(outcome, ImportedTunnel)
    assert notes_on(setting, outcome)
