"""sshd with PAM and throwaway users. Nothing of the machine's own /etc is read or changed.

It runs in a mount namespace whose /etc is a copy with these users, so it needs root. A user's
second factor is a one-time code of pam_oath (RFC 6238), which the test computes.
"""

from __future__ import annotations

import hashlib
import hmac
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.sshd import Sshd
from tests.requirements import absent, require, require_root

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.sandbox import Sandbox

SEED = bytes(range(20))
"""The secret that one-time codes are computed from."""

STEP = 30
"""Seconds for which a code is valid."""

_KEYS = Path("/etc/authorized_keys")
_FIRST_UID = 64100
_COPIED = ("passwd", "shadow", "group", "nsswitch.conf", "login.defs", "ld.so.cache", "localtime")

_SERVICE = """\
auth [success=ignore default=1] pam_succeed_if.so quiet user ingroup {group}
auth [success=done default=die] pam_oath.so usersfile={secrets} window=20
auth required pam_unix.so
account required pam_unix.so
password required pam_unix.so
session required pam_permit.so
"""

_ENTER = 'mount --bind "$1" /etc && shift && exec "$@"'


class PamSshd(Sshd):
    """An sshd with these users.

    passwords: by user; of a user with an empty one a code is asked for. expired: those that must
    change their password. methods: AuthenticationMethods, by user.
    """

    def __init__(
        self,
        directory: Path,
        authorized_keys: Path,
        passwords: Mapping[str, str],
        methods: Mapping[str, str],
        expired: frozenset[str] = frozenset(),
    ) -> None:
        require_root()
        if not any(Path("/lib").glob("**/security/pam_oath.so")):
            absent("libpam-oath is not installed")
        etc = directory / "etc"
        _write_etc(etc, directory, passwords, expired)
        users = directory / "users.conf"
        users.write_text(
            "".join(
                f"Match User {user}\n  AuthenticationMethods {value}\n"
                for user, value in methods.items()
            )
        )
        options = {
            "UsePAM": "yes",
            "KbdInteractiveAuthentication": "yes",
            "PasswordAuthentication": "yes",
            "Include": str(users),
        }
        # The folder of the test is closed to the users, and /etc is not.
        shutil.copy(authorized_keys, etc / _KEYS.name)
        super().__init__(directory, _KEYS, {**options})
        enter = [require("unshare"), "--mount", "sh", "-c", _ENTER, "sh", str(etc)]
        self._command = [*enter, *self._command]

    def attempts(self, user: str) -> int:
        """Count the connections that began a login of a user."""
        return self.log().count(
            f"userauth-request for user {user} service ssh-connection method none"
        )


def start_pam_sshd(
    sandbox: Sandbox,
    passwords: Mapping[str, str],
    methods: Mapping[str, str],
    expired: frozenset[str] = frozenset(),
) -> PamSshd:
    """Start a server in a sandbox, and add its key to known_hosts."""
    directory = sandbox.subdirectory("pam")
    server = PamSshd(directory, sandbox.authorized_keys, passwords, methods, expired)
    sandbox.add_cleanup(server.close)
    server.start()
    key = Path(f"{server.host_key}.pub").read_text()
    sandbox.add_known_host(f"[127.0.0.1]:{server.port}", " ".join(key.split()[:2]))
    return server


def one_time_code(at: float | None = None) -> str:
    """Return the code of a time, by default now (RFC 6238, six digits)."""
    counter = struct.pack(">Q", int(time.time() if at is None else at) // STEP)
    digest = hmac.new(SEED, counter, hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**6:06}"


def _write_etc(
    etc: Path, directory: Path, passwords: Mapping[str, str], expired: frozenset[str]
) -> None:
    etc.mkdir()
    for name in _COPIED:
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), etc)
    (etc / "pam.d").mkdir()
    group, secrets = "tkcodes", directory / "oath"
    service = _SERVICE.format(group=group, secrets=secrets)
    for name in ("sshd", "other"):
        (etc / "pam.d" / name).write_text(service)
    coders = [user for user, password in passwords.items() if not password]
    secrets.write_text("".join(f"HOTP/T30 {user} - {SEED.hex()}\n" for user in coders))
    secrets.chmod(0o600)
    with (etc / "group").open("a") as file:
        file.write(f"{group}:x:{_FIRST_UID}:{','.join(coders)}\n")
    with (etc / "passwd").open("a") as users, (etc / "shadow").open("a") as shadow:
        for uid, (user, password) in enumerate(passwords.items(), _FIRST_UID + 1):
            users.write(f"{user}:x:{uid}:65534::/:/bin/sh\n")
            changed = 0 if user in expired else 19000
            shadow.write(f"{user}:{_hash(password)}:{changed}:0:99999:7:::\n")
    (etc / "shadow").chmod(0o600)


def _hash(password: str) -> str:
    if not password:
        return "*"
    command = [require("openssl"), "passwd", "-6", "-stdin"]
    done = subprocess.run(command, input=password, capture_output=True, text=True, check=True)
    return done.stdout.strip()
