"""Which addresses lead to this machine itself, on a machine of its own."""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.e2e.netns import Machine, new_network
from tunnelkeeper.net import local_addresses, rtnetlink
from tunnelkeeper.net.local_addresses import is_local

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="netlink requires Linux")

LOCAL = ("127.0.0.1", "127.9.9.9", "::1", "10.77.2.2", "198.51.100.7", "2001:db8:9::7")
ELSEWHERE = ("10.77.2.1", "10.77.0.1", "203.0.113.7", "2001:db8::7")


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """Enter a machine that answers for two networks which no interface has."""
    with new_network() as network, network.box.entered():
        for family, answered in (("-4", "198.51.100.0/24"), ("-6", "2001:db8:9::/48")):
            network.box.ip(family, "route", "add", "local", answered, "dev", "lo")
        yield network.box


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("address", LOCAL)
def test_an_address_that_the_machine_answers_for_is_local(address: str) -> None:
    assert is_local(address)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("address", ELSEWHERE)
def test_an_address_of_another_machine_or_without_a_route_is_not_local(address: str) -> None:
    assert not is_local(address)


@pytest.mark.usefixtures("machine")
def test_on_other_systems_a_socket_finds_out_what_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_addresses, "_NETLINK", None)

    # Linux binds no address of an IPv6 network that it answers for; other systems have none.
    assert all(map(is_local, LOCAL[:-1]))
    assert not any(map(is_local, ELSEWHERE))


def test_a_lack_of_descriptors_is_an_error_and_not_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(socket, "socket", refuse)

    with pytest.raises(OSError, match="too many open files"):
        is_local("192.0.2.1")


def test_a_truncated_message_is_no_local_route() -> None:
    assert not rtnetlink.is_local_route(b"\0" * 8)
