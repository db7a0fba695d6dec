"""One set-up of keys, certificates and agent, used by ssh and by tunnelkeeper in turn."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tests.e2e.agent import Agent
from tests.e2e.keys import certify_user, fingerprint, make_key, public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER
from tests.e2e.security_key import SecurityKeyAgent
from tests.e2e.waiting import wait_until
from tests.requirements import require

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox
    from tests.e2e.sshd import Sshd

_OFFER = re.compile(r"publickey (?:test|attempt) pkalg (\S+) pkblob (\S+ \S+)")
_ACCEPTED = re.compile(r"Accepted publickey for .* ssh2: (\S+ \S+)")
_END = re.compile(r"Entering interactive session|authenticating user|Disconnecting")
"""The last line about a login. Lines about the offers precede it."""


@dataclass(frozen=True)
class Login:
    """What the server saw.

    accepted: type and fingerprint of the key that logged in, or None. offers: the same of each key
    that was offered. algorithms: the algorithm names of the offers that were not signed at once.
    """

    accepted: str | None
    offers: tuple[str, ...]
    algorithms: tuple[str, ...] = field(compare=False)


class IdentitySetup:
    """Builds an ssh_config and its files. Its methods return paths, to be named in options."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._folder = sandbox.subdirectory("keys")
        self._options: list[str] = []
        self.server_options: dict[str, str] = {}
        self.authority = make_key(self._folder / "authority")
        sandbox.authorized_keys.write_text("")
        self.agent = Agent(self._folder)
        sandbox.add_cleanup(self.agent.close)
        self.agent.start()
        self._agent_socket = self.agent.socket

    def key(self, name: str, kind: str = "ed25519", bits: int = 0, *, passphrase: str = "") -> Path:
        """Generate a private key with its public key beside it."""
        return make_key(self._folder / name, kind, passphrase, bits)

    def pem_key(self, name: str) -> Path:
        """Generate an RSA key whose file does not have OpenSSH's format."""
        return make_key(self._folder / name, "rsa", format_="PEM")

    def authorize(self, *keys: Path) -> None:
        """Let these keys log in."""
        with self._sandbox.authorized_keys.open("a") as file:
            file.writelines(f"{public(key)}\n" for key in keys)

    def trust_certificates(self) -> None:
        """Let every certificate of the authority log in."""
        with self._sandbox.authorized_keys.open("a") as file:
            file.write(f"cert-authority {public(self.authority)}\n")

    def certify(self, key: Path, name: str = "") -> Path:
        """Sign a certificate for a key, beside it unless a name is given."""
        certificate = certify_user(self.authority, key, USER)
        return certificate.rename(self._folder / name) if name else certificate

    def security_key(self, name: str, kind: str) -> Path:
        """Replace the agent by one with a security key; return the path without `.pub`."""
        agent = SecurityKeyAgent(kind)
        self._agent_socket = self._folder / "security-key.sock"
        self._sandbox.service(agent.serve, self._agent_socket)
        agent.write_public_key(self._folder / name)
        return self._folder / name

    @cached_property
    def server(self) -> Sshd:
        """The server that both log in to. It is started at the first use."""
        return self._sandbox.sshd(known=True, **self.server_options)

    def limit_to(self, server: Sshd, key: Path) -> None:
        """Add a key to the agent that may log in to one server only."""
        hosts = self._folder / f"hosts-{server.port}"
        hosts.write_text(f"box {public(server.host_key)}\n")
        self.agent.add(key, "-H", str(hosts), "-h", "box")

    def another_server(self) -> Sshd:
        """Start a server that nothing logs in to."""
        return self._sandbox.sshd()

    def option(self, *lines: str) -> None:
        """Add lines to the ssh_config."""
        self._options += lines

    def identities(self, *paths: Path) -> None:
        """Name these as IdentityFile."""
        self.option(*(f"IdentityFile {path}" for path in paths))

    def logins(self) -> tuple[Login, Login]:
        """Return the login of ssh, then that of tunnelkeeper."""
        server = self.server
        config = self._folder / "ssh_config"
        lines = ["Host relay", "HostName 127.0.0.1", f"Port {server.port}", f"User {USER}"]
        lines += [f"UserKnownHostsFile {self._sandbox.known_hosts}", *self._options]
        lines += [f"IdentityAgent {self._agent_socket}"]
        config.write_text("\n".join(lines) + "\n")

        def seen_by_server(after: int) -> Login:
            log = wait_until(
                lambda: server.log()[after:] if _END.search(server.log(), after) else ""
            )
            accepted = [match.group(1) for match in _ACCEPTED.finditer(log)]
            offers = _OFFER.findall(log)
            keys = dict.fromkeys([*(key for _, key in offers), *accepted])
            names = dict.fromkeys(name for name, _ in offers)
            return Login(accepted[0] if accepted else None, tuple(keys), tuple(names))

        start = len(server.log())
        command = [require("ssh"), "-F", str(config), "-o", "BatchMode=yes", "relay", "true"]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        by_ssh = seen_by_server(start)

        start = len(server.log())
        head = f'[supervisor]\nssh_config = "{config}"\n\n'
        tunnel = f'[tunnels.t]\nhost = "relay"\nsocks = "{free_port()}"\n'
        program = self._sandbox.program(tunnel, head=head)
        program.up()
        state = "up" if by_ssh.accepted else "blocked"
        program.wait_for_state("t", state)
        return by_ssh, seen_by_server(start)


def assert_as_ssh(setup: IdentitySetup, expected: Path | None) -> tuple[Login, Login]:
    """Check that both logins are equal and made with the expected key; return them."""
    by_ssh, by_tunnelkeeper = setup.logins()

    assert by_tunnelkeeper == by_ssh
    if expected is None:
        assert by_ssh.accepted is None
    else:
        assert by_ssh.accepted is not None
        assert fingerprint(expected) in by_ssh.accepted
    return by_ssh, by_tunnelkeeper
