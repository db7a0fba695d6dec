"""The diagnosis of a refused listen request from the server's message and from probes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tunnelkeeper.core.failures import Cause
from tunnelkeeper.core.forward_spec import Address, TcpAddress, UnixAddress
from tunnelkeeper.ssh.listen_diagnosis import Answer, diagnose, forbidden

RELAY = "SSH-2.0-tunnelkeeper"
OPENSSH, DROPBEAR = "SSH-2.0-OpenSSH_9.2p1", "SSH-2.0-dropbear_2022.83"
HOP = "me@relay:22"
REQUESTED = TcpAddress("localhost", 2222)
ANY_PORT = TcpAddress("localhost", 0)
PATH = UnixAddress("/run/there.sock")
DENIED, IN_USE = Cause.FORWARD_DENIED, Cause.REMOTE_PORT_BUSY


@dataclass
class FakeServer:
    """A server that listens on some addresses and answers every connection alike."""

    version: str = DROPBEAR
    free: set[TcpAddress] = field(default_factory=set)
    answer: Answer = Answer.UNKNOWN
    listen_requests: list[Address] = field(default_factory=list)
    connect_requests: list[Address] = field(default_factory=list)

    async def can_listen(self, address: TcpAddress) -> bool:
        self.listen_requests.append(address)
        return address in self.free

    async def connect(self, address: Address) -> Answer:
        self.connect_requests.append(address)
        return self.answer


async def cause(server: FakeServer, address: Address = REQUESTED) -> Cause:
    failure = await diagnose(server, address, HOP)
    assert failure.hop == HOP
    assert failure.hint
    return failure.cause


async def test_an_openssh_that_forbids_nothing_is_not_probed() -> None:
    server = FakeServer(OPENSSH)

    assert await cause(server) is IN_USE
    assert not server.listen_requests
    assert not server.connect_requests


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(Answer.NOT_LISTENING, DENIED), (Answer.LISTENING, IN_USE), (Answer.UNKNOWN, IN_USE)],
)
async def test_an_unused_port_below_1024_is_reserved_for_root(
    answer: Answer, expected: Cause
) -> None:
    assert await cause(FakeServer(OPENSSH, answer=answer), TcpAddress("localhost", 80)) is expected


async def test_a_port_below_1024_that_was_just_freed_is_reported_as_in_use() -> None:
    port = TcpAddress("localhost", 80)

    assert (
        await cause(FakeServer(OPENSSH, free={port}, answer=Answer.NOT_LISTENING), port) is IN_USE
    )


@pytest.mark.parametrize("free", [True, False])
async def test_an_address_that_the_server_lacks_is_reported(free: bool) -> None:
    requested = TcpAddress("192.0.2.1", 2222)
    server = FakeServer(OPENSSH, free={TcpAddress("192.0.2.1", 0)} if free else set())

    failure = await diagnose(server, requested, HOP)

    assert failure.cause is IN_USE
    assert ("no port of the address" in failure.message) is not free


async def test_a_port_with_a_listener_is_in_use() -> None:
    assert await cause(FakeServer(answer=Answer.LISTENING)) is IN_USE


async def test_a_port_without_a_listener_is_denied() -> None:
    assert await cause(FakeServer(answer=Answer.NOT_LISTENING)) is DENIED


async def test_a_port_that_has_just_become_free_is_reported_as_in_use() -> None:
    assert await cause(FakeServer(answer=Answer.NOT_LISTENING, free={REQUESTED})) is IN_USE


@pytest.mark.parametrize("answer", [Answer.UNKNOWN, Answer.UNSUPPORTED])
async def test_port_0_decides_if_the_server_forbids_the_connection(answer: Answer) -> None:
    assert await cause(FakeServer(answer=answer, free={ANY_PORT})) is IN_USE
    assert await cause(FakeServer(answer=answer)) is DENIED


async def test_a_refused_port_0_is_denied() -> None:
    assert await cause(FakeServer(), ANY_PORT) is DENIED


async def test_every_interface_is_reached_by_loopback() -> None:
    server = FakeServer(answer=Answer.LISTENING)
    await cause(server, TcpAddress("*", 2222))

    assert server.connect_requests == [REQUESTED]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer.LISTENING, IN_USE),
        (Answer.NOT_LISTENING, IN_USE),
        (Answer.UNKNOWN, IN_USE),
        (Answer.UNSUPPORTED, DENIED),
    ],
)
async def test_a_path_is_in_use_or_stale_or_unsupported(answer: Answer, expected: Cause) -> None:
    assert await cause(FakeServer(answer=answer), PATH) is expected


def test_the_message_of_a_server_that_forbids_is_made_printable() -> None:
    failure = forbidden(REQUESTED, HOP, "port forwarding refused\x1b[2J")

    assert failure.cause is DENIED
    assert failure.message.endswith("refused\\x1b[2J")


# -- our relay -------------------------------------------------------------------------------------


def test_a_refusal_of_our_relay_is_explained_as_its_own() -> None:
    reason = "port forwarding refused: the name db is not granted to box17"
    failure = forbidden(TcpAddress("db", 22), HOP, reason, RELAY)

    assert failure.cause is DENIED
    assert failure.message == (
        "the relay does not allow us to listen on db:22: the name db is not granted to box17"
    )
    assert "relay.toml" in failure.hint
    assert "sshd_config" not in failure.hint


@pytest.mark.parametrize("address", [TcpAddress("box17", 22), TcpAddress("localhost", 80), PATH])
async def test_what_our_relay_refuses_without_a_reason_is_held_by_another_client(
    address: Address,
) -> None:
    server = FakeServer(RELAY, answer=Answer.NOT_LISTENING)
    failure = await diagnose(server, address, HOP)

    assert failure.cause is IN_USE
    assert failure.message.endswith(f"listens on {address}")
    assert "sshd_config" not in failure.hint
    assert not server.connect_requests
    assert not server.listen_requests
