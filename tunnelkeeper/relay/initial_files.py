"""The files of a new relay: relay.toml, the folder of the keys, and the host key. `relay init`.

It overwrites nothing: what exists is kept.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.relay import host_key

if TYPE_CHECKING:
    from pathlib import Path

HOST_KEY = "relay_host_key"

_TEXT = """\
# The relay of tunnelkeeper. docs/relay.md explains every key; `tunnelkeeper relay check` reads this
# file and reports every problem in it. After a change: `tunnelkeeper relay reload`.

# Where clients connect. "*" is every interface. A change needs a restart.
listen = ["{listen}"]

# The address by which clients reach this relay. `relay add` prints it.
{public_address}

# The relay's own key. A missing file is generated.
host_keys = ["{host_key}"]

# A file for each user. `relay add` and `relay remove` write the lines.
authorized_keys = "authorized_keys/%u"

# Which names clients may listen on: that of their user, and what their lines name.
names = ["%u"]

# What clients may open: the names of other clients, and nothing else. With "*:*" they may open
# every machine on the internet that the relay reaches; the lines of authorized_keys narrow it.
permit_open = ["names"]
"""


class InitError(Exception):
    """Raised if a file cannot be made; the text says which, and why."""


@dataclass(frozen=True, slots=True)
class InitialFiles:
    """The files of a relay. created: those that did not exist before; kept: those that did."""

    created: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def create(
    config: Path, listen: TcpAddress, public_address: TcpAddress | None, key_folder: Path | None
) -> InitialFiles:
    """Create the files of a relay beside its config file.

    key_folder: of the host key if it is not that of the config file. The service that owns that
    folder generates the key then. Raises InitError.
    """
    files = InitialFiles()
    folder = config.parent
    _make_folder(folder, files)
    text = _TEXT.format(
        listen=listen,
        public_address=f'public_address = "{_with_port(public_address, listen)}"'
        if public_address is not None
        else '# public_address = "relay.example.com:2222"',
        host_key=HOST_KEY if key_folder is None else key_folder / HOST_KEY,
    )
    _write(config, text, files)
    _make_folder(folder / "authorized_keys", files)
    if key_folder is None:
        _make_key(folder / HOST_KEY, files)
    return files


def _with_port(address: TcpAddress, listen: TcpAddress) -> TcpAddress:
    return TcpAddress(address.host, address.port or listen.port)


def _make_folder(path: Path, files: InitialFiles) -> None:
    is_new = not path.is_dir()
    try:
        if is_new:
            # The relay's user is often another one; the keys in it are public.
            path.mkdir(parents=True)
            path.chmod(0o755)  # whatever the umask is
            _give_to_owner_of_folder(path)
    except OSError as error:
        raise InitError(f"{path}: {os_error_text(error)}") from error
    (files.created if is_new else files.kept).append(f"{path}/")


def _write(path: Path, text: str, files: InitialFiles) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  a descriptor
            os.fchmod(descriptor, 0o644)
            file.write(text)
        _give_to_owner_of_folder(path)
    except FileExistsError:
        files.kept.append(str(path))
    except OSError as error:
        raise InitError(f"{path}: {os_error_text(error)}") from error
    else:
        files.created.append(str(path))


def _make_key(path: Path, files: InitialFiles) -> None:
    try:
        host_key.make_key(path)
        _give_to_owner_of_folder(path)
    except FileExistsError:
        files.kept.append(str(path))
    except OSError as error:
        raise InitError(f"{path}: {os_error_text(error)}") from error
    else:
        files.created.append(str(path))


def _give_to_owner_of_folder(path: Path) -> None:
    """Let root set up the relay of another user."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
