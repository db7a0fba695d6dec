"""Lines of authorized_keys for boxes and people: `relay add` and `relay remove`.

A line is written only if the relay's configuration lets it work. Existing lines are never changed,
only removed. All of it blocks; the relay itself does not use it.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.atomic_write import write_atomically
from tunnelkeeper.core.message import HintedError
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.relay import authorized_keys, host_key, name_rules
from tunnelkeeper.relay.authorized_keys import LineError, PublicKeyError, parse_blob, split_line
from tunnelkeeper.relay.authorized_keys_store import path_for
from tunnelkeeper.relay.permits import (
    HostPermit,
    PermitError,
    allow_listen,
    allow_name,
    allow_open,
    parse_listen,
    parse_open,
)
from tunnelkeeper.relay.registry import listen_name
from tunnelkeeper.ssh.auth.known_hosts import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.relay.config import RelayConfiguration

NEW_FILE_MODE = 0o644  # public keys; the relay's user is often another one
NOTHING = "none:1"
"""A target that does not exist: a permit for it is how a line permits nothing of a kind."""


class EnrolmentError(HintedError):
    """Raised if a line cannot be written or removed."""


class UnknownUserError(EnrolmentError):
    """Raised if there is no line to remove."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key may listen on and open."""

    listen: tuple[HostPermit, ...]
    open: tuple[HostPermit, ...]

    @property
    def options(self) -> str:
        """The options of the line."""
        permits = [("permitlisten", permit) for permit in self.listen or (NOTHING,)]
        permits += [("permitopen", permit) for permit in self.open or (NOTHING,)]
        return ",".join(
            ("restrict", "port-forwarding", *(f'{name}="{permit}"' for name, permit in permits))
        )


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A line that was added. private_key: the new file with the key's private half, if any."""

    user: str
    file: Path
    fingerprint: str
    rights: Rights
    private_key: Path | None = None


def rights_of(
    user: str, listen: tuple[str, ...], open_: tuple[str, ...], configuration: RelayConfiguration
) -> Rights:
    """Return what a line permits. listen: `port`, for the name of the user, or `host:port`.

    Raises EnrolmentError if they are malformed, or if relay.toml does not let them work.
    """
    _file_of(user, configuration)  # checks that it is a user name
    listening = tuple(
        _permit(f"{_name_of(user)}:{written}" if written.isdecimal() else written, "--listen")
        for written in listen
    )
    opening = tuple(_permit(written, "--open") for written in open_)
    for permit in listening:
        _check_listen(permit, configuration)
    for permit in opening:
        _check_open(permit, configuration)
    return Rights(listening, opening)


def add(
    user: str,
    rights: Rights,
    configuration: RelayConfiguration,
    *,
    public_key: str | None,
    new_key: Path,
) -> Enrolment:
    """Write a line for a user. public_key: `type base64`; None generates a key in the file new_key.

    Raises EnrolmentError.
    """
    file = _file_of(user, configuration)
    text = _read(file)
    if public_key is None:
        try:
            public_key = host_key.make_key(new_key, comment=user)
        except FileExistsError:
            raise EnrolmentError(
                f"{new_key}: exists already",
                "name another file with --save, or add its public key: "
                f"`ssh-keygen -y -f {new_key} | tunnelkeeper relay add {user} --key -`",
            ) from None
        except OSError as error:
            raise EnrolmentError(f"{new_key}: {os_error_text(error)}") from error
        private_key: Path | None = new_key
    else:
        private_key = None
    algorithm, encoded = public_key.split()
    blob = parse_blob(algorithm, encoded)
    for number, line in enumerate(text.split("\n"), start=1):
        if _blob_of(line) == blob:
            message = f"{file}:{number}: has this key already"
            raise EnrolmentError(message, f"tunnelkeeper relay remove {user}")
    separator = "" if not text or text.endswith("\n") else "\n"
    try:
        _write(file, f"{text}{separator}{rights.options} {public_key} {user}\n")
    except EnrolmentError:
        if private_key is not None:  # a key that nothing accepts would hinder the next attempt
            _unlink(private_key)
        raise
    return Enrolment(user, file, fingerprint(blob), rights, private_key)


def remove(user: str, key: str | None, configuration: RelayConfiguration) -> tuple[Path, list[str]]:
    """Remove the lines of a user; return the file and the fingerprints of the removed keys.

    key: the fingerprint of the only key to remove. In a file for all users, the lines of a user are
    those with the user as their comment, as `add` writes them. Raises EnrolmentError.
    """
    file = _file_of(user, configuration)
    is_own_file = "%u" in configuration.authorized_keys
    kept, removed = [], []
    for line in _read(file).split("\n"):
        blob = _blob_of(line)
        is_users = blob is not None and (is_own_file or split_line(line)[3] == user)
        if blob is not None and is_users and key in {None, fingerprint(blob)}:
            removed.append(fingerprint(blob))
        else:
            kept.append(line)
    if not removed:
        which = f" with the key {printable(key, 80)}" if key else ""
        raise UnknownUserError(f"{file}: has no line of {user}{which}")
    text = "\n".join(kept)
    if text.strip() or not is_own_file:
        _write(file, text)
    else:
        _unlink(file)
    return file, removed


def read_public_key(text: str, source: str) -> str:
    """Return the public key of a file's text as `type base64`. source: its name in messages.

    Raises EnrolmentError.
    """
    if "PRIVATE KEY-----" in text:
        raise EnrolmentError(f"{source}: is a private key", f"pass its public half, {source}.pub")
    keys, problems = authorized_keys.parse(text, source)
    if problems:
        raise EnrolmentError(problems[0])
    if len(keys) != 1:
        raise EnrolmentError(f"{source}: expected one public key, got {len(keys)}")
    lines = (line for line in text.split("\n") if _blob_of(line))
    options, algorithm, encoded, _ = split_line(next(lines))
    if options:
        raise EnrolmentError(f"{source}: expected a public key without options")
    return f"{algorithm} {encoded}"


def _name_of(user: str) -> str:
    """Return the name of a user, without which a port would be one of the relay itself."""
    if listen_name(user) is None:
        raise EnrolmentError(
            f"{user} cannot be a name to listen on: a name has letters, digits, '-' and '_', with "
            "at least one letter, and is no local host",
            "choose another user, or pass --listen NAME:PORT",
        )
    return user


def _permit(written: str, option: str) -> HostPermit:
    try:
        permit = parse_open(written) if option == "--open" else parse_listen(written)
    except PermitError as error:
        raise EnrolmentError(f"{option}: {error}") from None
    if not isinstance(permit, HostPermit) or permit.port is None or "*" in permit.host:
        raise EnrolmentError(
            f"{option}: expected a port, name:port or host:port, got '{printable(written, 80)}'",
            "other permits have to be written by hand",
        )
    return permit


def _check_listen(permit: HostPermit, configuration: RelayConfiguration) -> None:
    name, port = listen_name(permit.host), permit.port or 0
    if name is not None and not configuration.names:
        raise EnrolmentError("names = false in relay.toml: no client can listen on a name")
    if name is not None and name_rules.is_host(name, configuration.permit_open):
        raise EnrolmentError(
            f"{name} is a host in permit_open of relay.toml, so it cannot be the name of a box",
            "remove it there, or choose another name",
        )
    if not allow_listen(configuration.permit_listen, permit.host, port):
        raise EnrolmentError(
            f'permit_listen in relay.toml does not allow "{permit}"', "add it there"
        )


def _check_open(permit: HostPermit, configuration: RelayConfiguration) -> None:
    name, port = listen_name(permit.host), permit.port or 0
    permits = configuration.permit_open
    is_name = name is not None and configuration.names and not name_rules.is_host(name, permits)
    if not (allow_name if is_name else allow_open)(permits, permit.host, port):
        entry = '"names"' if is_name else f'"{permit}"'
        raise EnrolmentError(
            f'permit_open in relay.toml does not allow "{permit}"', f"add {entry} there"
        )


def _file_of(user: str, configuration: RelayConfiguration) -> Path:
    path = path_for(configuration.authorized_keys, user)
    if path is None:
        raise EnrolmentError(
            f"'{printable(user, 80)}' is not a user name: at most 64 letters, digits, '.', '_' and "
            "'-', beginning with a letter, a digit or '_'"
        )
    return path


def _blob_of(line: str) -> bytes | None:
    """Return the key of a line; None for a comment, an empty or a malformed line."""
    try:
        _, algorithm, encoded, _ = split_line(line)
        return parse_blob(algorithm, encoded)
    except (LineError, PublicKeyError):
        return None


def _read(path: Path) -> str:
    try:
        return read_regular_file(path).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise EnrolmentError(f"{path}: {os_error_text(error)}") from error


def _write(path: Path, text: str) -> None:
    """Replace a file; a new one belongs to the owner of its folder, who may be another user."""

    def grant(descriptor: int) -> None:
        try:
            status = path.stat()
            mode = stat.S_IMODE(status.st_mode)
        except FileNotFoundError:
            status, mode = path.parent.stat(), NEW_FILE_MODE
        if os.geteuid() == 0:
            os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, mode)

    try:
        write_atomically(path, text.encode("utf-8", "surrogateescape"), grant)
    except FileNotFoundError as error:
        message = f"{path.parent}: no such folder"
        raise EnrolmentError(message, "tunnelkeeper relay init") from error
    except OSError as error:
        raise EnrolmentError(f"{path}: {os_error_text(error)}") from error


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise EnrolmentError(f"{path}: {os_error_text(error)}") from error
