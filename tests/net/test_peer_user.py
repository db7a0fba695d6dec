"""The user at the other end of a connection, as the kernel tells."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.requirements import require_root
from tunnelkeeper.net.peer_user import (
    TcpEnds,
    UnknownUserError,
    encode_request,
    find_user,
    parse_answer,
    user_of_client,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag is Linux's")

FAMILIES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
OTHER = 12345
ENDS = TcpEnds(socket.AF_INET, ("127.0.0.1", 40000), ("127.0.0.1", 1080))


@contextmanager
def connection(
    family: int = socket.AF_INET, host: str = "127.0.0.1", uid: int | None = None
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Connect a client, whose socket a user creates, and accept it."""
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        if uid is not None:
            os.seteuid(uid)
        try:
            client = socket.socket(family)
        finally:
            os.seteuid(os.getuid())
        with client:
            client.connect(listener.getsockname())
            accepted, _ = listener.accept()
            with accepted:
                yield client, accepted


@pytest.mark.parametrize(("family", "host"), FAMILIES)
def test_a_client_of_this_user_is_recognized(family: int, host: str) -> None:
    with connection(family, host) as (_, accepted):
        assert user_of_client(accepted) == os.geteuid()


@pytest.mark.parametrize(("family", "host"), FAMILIES)
def test_a_client_of_another_user_is_recognized(family: int, host: str) -> None:
    require_root()

    with connection(family, host, uid=OTHER) as (_, accepted):
        assert user_of_client(accepted) == OTHER


@pytest.mark.parametrize(
    ("ours", "theirs"), [(socket.AF_INET, socket.AF_INET6), (socket.AF_INET6, socket.AF_INET)]
)
def test_an_ipv4_address_of_an_ipv6_socket_is_the_same(
    ours: socket.AddressFamily, theirs: socket.AddressFamily
) -> None:
    """Java connects to 127.0.0.1 with such a socket."""
    mapped = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::ffff:127.0.0.1"}
    with socket.socket(ours) as listener, socket.socket(theirs) as client:
        if ours == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((mapped[ours], 0))
        listener.listen()
        client.connect((mapped[theirs], listener.getsockname()[1]))
        accepted, _ = listener.accept()

        with accepted:
            assert user_of_client(accepted) == os.geteuid()


def test_a_client_that_has_sent_its_end_is_recognized() -> None:
    with connection() as (client, accepted):
        client.shutdown(socket.SHUT_WR)

        assert user_of_client(accepted) == os.geteuid()


def test_a_client_that_has_closed_is_unknown() -> None:
    with connection() as (client, accepted):
        client.sendall(b"data")
        client.close()

        with pytest.raises(UnknownUserError, match="it has closed"):
            user_of_client(accepted)


def test_a_listening_socket_is_not_taken_for_the_client() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        assert find_user(TcpEnds(socket.AF_INET, ("127.0.0.1", port), ("127.0.0.1", 9))) is None


def test_the_client_of_a_unix_socket_is_recognized(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        client.connect(str(tmp_path / "s"))
        accepted, _ = listener.accept()

        with accepted:
            assert user_of_client(accepted) == os.geteuid()


@given(st.binary(max_size=200))
def test_any_answer_of_the_kernel_gives_a_user_or_none(data: bytes) -> None:
    try:
        uid = parse_answer(data, ENDS)
    except UnknownUserError:
        return

    assert uid is None or 0 <= uid < 1 << 32


@given(st.integers(0, 12), st.integers(0, 1 << 16), st.integers(0, 1 << 16))
def test_only_a_connected_socket_with_an_inode_has_a_user(state: int, uid: int, inode: int) -> None:
    ours = encode_request(ENDS)[16 + 8 :]  # the socket's id in it
    numbers = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 0, 0, uid, inode))
    body = bytes([socket.AF_INET, state, 0, 0]) + ours + numbers
    header = (16 + len(body)).to_bytes(4, sys.byteorder) + (20).to_bytes(2, sys.byteorder)

    found = parse_answer(header + bytes(10) + body, ENDS)

    assert found == (uid if state in {1, 4, 5, 8, 9, 11} and inode else None)


def test_the_answer_for_another_socket_is_not_used() -> None:
    with connection() as (client, accepted):
        other = TcpEnds(socket.AF_INET, client.getsockname(), ("127.0.0.1", 1))

        assert user_of_client(accepted) == os.geteuid()
        assert find_user(other) is None
