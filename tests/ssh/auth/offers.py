"""A real ssh-agent, key files, and the keys that a login offers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncssh

from tests.ssh.server import new_key, write_key
from tunnelkeeper.core.algorithms import SIGNATURES
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.ssh.auth import public_keys
from tunnelkeeper.ssh.auth.algorithms import ServerSignatures
from tunnelkeeper.ssh.auth.identities import Identities
from tunnelkeeper.ssh.auth.private_keys import PrivateKeys

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.ssh.auth.identities import Offer


class Agent:
    """A real ssh-agent. variables: added to its environment."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.socket = str(folder / "agent.sock")
        self._process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", self.socket],
            stdout=subprocess.DEVNULL,
            env={**os.environ, **variables},
        )

    def is_running(self) -> bool:
        # The socket file exists after bind(), before listen().
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.connect(self.socket)
            return True
        return False

    def add(self, path: str) -> None:
        self.run("ssh-add", "-q", path)

    def run(self, *command: str) -> None:
        environment = {**os.environ, "SSH_AUTH_SOCK": self.socket}
        subprocess.run(command, env=environment, check=True, capture_output=True)

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


def key_file(folder: Path, name: str, passphrase: str = "") -> str:
    return write_key(folder / name, new_key(), passphrase)


def identify(offer: Offer) -> bytes:
    """Return the public key of an offer, marked if it has a certificate."""
    public = public_keys.decode(offer.public_data)
    assert public is not None
    return (b"certificate " if public.is_certificate else b"") + public.key


def blob(path: str) -> bytes:
    return asyncssh.read_public_key(f"{path}.pub").public_data


async def offered_keys(keys: Identities, *, accepted: bool = False) -> list[bytes]:
    """Return the keys that are offered to a server of today. accepted: it asks each to sign."""
    offers, server = [], ServerSignatures(frozenset(SIGNATURES))
    try:
        while (offer := await keys.next_key(server)) is not None:
            offers.append(identify(offer))
            if accepted:
                with suppress(ValueError):
                    await offer.sign_async(b"")
    finally:
        keys.close()
    return offers


def identities_of(**changes: Any) -> Identities:
    return Identities(Host("relay", "relay", "me", **changes), PrivateKeys())


def certify(path: Path, certificate: Path, authority: asyncssh.SSHKey | None = None) -> None:
    key = asyncssh.read_public_key(f"{path}.pub")
    new_certificate = (authority or new_key()).generate_user_certificate(
        key, "me", principals=["me"]
    )
    certificate.write_bytes(new_certificate.export_certificate())
