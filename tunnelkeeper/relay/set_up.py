"""What `relay add` does as a whole: the line, the relay's address, and the texts to paste."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.relay import enrolment, host_key
from tunnelkeeper.relay.host_key import HostKeyError
from tunnelkeeper.relay.instructions import (
    Instructions,
    format_text,
    instructions_for,
    public_address,
)

if TYPE_CHECKING:
    from tunnelkeeper.core.forward_spec import TcpAddress
    from tunnelkeeper.relay.config import RelayConfiguration

DEFAULT_LISTEN = ("22",)


@dataclass(frozen=True, slots=True)
class AddRequest:
    """The arguments of `relay add`. An empty value was not given.

    listen, open: as written. public_key: the text of a file, and its name. address: of the relay.
    new_key: where to write a generated key.
    """

    user: str
    listen: tuple[str, ...]
    open: tuple[str, ...]
    public_key: tuple[str, str] | None
    new_key: Path
    address: TcpAddress | None


@dataclass(frozen=True, slots=True)
class Added:
    """The result. text: for a person. notes: what the owner has to know."""

    enrolment: enrolment.Enrolment
    instructions: Instructions
    address: TcpAddress
    notes: list[str]
    text: str


def add(request: AddRequest, configuration: RelayConfiguration) -> Added:
    """Write a line for a box or a person, and return what to paste on its machine.

    Without listen and open it is a box that listens on port 22 of its name. Raises EnrolmentError.
    """
    listen = request.listen or (() if request.open else DEFAULT_LISTEN)
    rights = enrolment.rights_of(request.user, listen, request.open, configuration)
    public_key = (
        enrolment.read_public_key(*request.public_key) if request.public_key is not None else None
    )
    done = enrolment.add(
        request.user, rights, configuration, public_key=public_key, new_key=request.new_key
    )
    named = request.address or configuration.public_address
    address = public_address(named, configuration.listen, socket.gethostname())
    notes: list[str] = []
    if named is None:
        notes.append(
            f"Replace {address.host} below by the address of this relay, if it has another one; "
            "public_address in relay.toml saves that."
        )
    host_keys = _public_host_keys(configuration, notes)
    instructions = instructions_for(done, address, host_keys)
    return Added(done, instructions, address, notes, format_text(done, instructions, notes))


def _public_host_keys(configuration: RelayConfiguration, notes: list[str]) -> list[str]:
    found = []
    for path in configuration.host_keys:
        try:
            key = host_key.read(Path(path))
        except FileNotFoundError:
            notes.append(
                f"The relay has no host key in {path} yet; start it before you add users, so that "
                "their lines for known_hosts can be printed."
            )
        except (HostKeyError, OSError) as error:
            notes.append(f"The host key cannot be read: {error}")
        else:
            found.append(" ".join(key.export_public_key().decode("ascii").split()[:2]))
    return found
