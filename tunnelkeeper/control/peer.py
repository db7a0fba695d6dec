"""The process at the other end of a control socket: its user, and whether a client may trust it.

A client that believed any process would show false states, and would send what it has to say to
another user. This module checks the socket file, the folders on the way, and the listening process.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

from tunnelkeeper.net.file_trust import (
    ROOT,
    describe_user,
    find_distrust,
    is_owner_trusted,
)

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket
    from pathlib import Path

_UCRED = struct.Struct("iII")  # Linux, unix(7): pid, uid, gid
_XUCRED = struct.Struct("=II68x")  # macOS, sys/ucred.h: version, uid, groups
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1  # macOS, sys/un.h


def peer_uid_of(sock: socket.socket | TransportSocket) -> int | None:
    """Return the user id of the process at the other end, or None if the system cannot tell.

    For a client, that is the process that called listen(2).
    """
    uid: int | None = None
    if sys.platform == "linux":
        _pid, uid, _gid = _UCRED.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        )
    elif sys.platform == "darwin":
        _version, uid = _XUCRED.unpack(sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))
    return uid


def expected_user(path: Path, *, is_named: bool) -> int:
    """Return the user whose supervisor may listen at a path, beside root.

    is_named: the path was named for this call. Root may then use the supervisor of the user whose
    file it is. A path that root did not name has to be root's own.

    Raises OSError if the file is missing or cannot be reached.
    """
    owner = path.lstat().st_uid
    user = os.geteuid()
    return owner if is_named and user == ROOT else user


def find_untrusted_path(path: Path, user: int) -> str | None:
    """Return why another user could have put a socket here; None if none could.

    Raises OSError.
    """
    distrust = find_distrust(path, user, owner_only=True)
    return None if distrust is None else str(distrust)


def find_untrusted_process(sock: socket.socket | TransportSocket, user: int) -> str | None:
    """Return who listens, if it is neither the user nor root. None if it is.

    If the system cannot tell, the owners of the file and its folders have decided already.
    """
    uid = peer_uid_of(sock)
    if uid is None or is_owner_trusted(uid, user):
        return None
    return f"a process of {describe_user(uid)} listens there"
