"""Who is at the other end of a Unix socket, as the kernel says it; knows no protocol."""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

_UCRED = struct.Struct("iII")  # Linux, unix(7): pid, uid, gid
_XUCRED = struct.Struct("=II68x")  # macOS, sys/ucred.h: version, uid, groups
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1  # macOS, sys/un.h


def uid_of(sock: socket.socket | TransportSocket) -> int | None:
    """The user id of the process that connected; None where the system cannot tell."""
    uid: int | None = None
    if sys.platform == "linux":
        _pid, uid, _gid = _UCRED.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        )
    elif sys.platform == "darwin":
        _version, uid = _XUCRED.unpack(sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))
    return uid


def may_control(uid: int | None) -> bool:
    """Whether this user may control our tunnels: we ourselves, and root, who could anyway.

    Where the system cannot tell, the modes of the folder and the socket have decided already.
    """
    return uid is None or uid in {0, os.geteuid()}
