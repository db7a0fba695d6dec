"""Debug messages of a server are matched to the request that they precede."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncssh
from asyncssh.constants import MSG_REQUEST_FAILURE, MSG_REQUEST_SUCCESS

from tunnelkeeper.ssh.debug_messages import DebugMessageMixin, ForwardForbiddenError

REFUSED = "port forwarding refused"
ANSWER = tuple[int, bytes]


class Requests:
    """Global requests as in asyncssh: answered in the order of the requests."""

    def __init__(self) -> None:
        self._global_request_waiters: list[asyncio.Future[ANSWER]] = []

    async def _make_global_request(self, request: bytes, *args: bytes) -> ANSWER:
        del request, args
        waiter: asyncio.Future[ANSWER] = asyncio.get_running_loop().create_future()
        self._global_request_waiters.append(waiter)
        return await waiter


class FakeTransport(DebugMessageMixin, Requests):
    """The mixin over these requests."""

    def ask(self, tasks: asyncio.TaskGroup, request: bytes = b"tcpip-forward") -> Any:
        return tasks.create_task(self._refusal_of(request))

    def answer(self, kind: int = MSG_REQUEST_FAILURE) -> None:
        waiter = self._global_request_waiters.pop(0)
        if not waiter.cancelled():
            waiter.set_result((kind, b""))

    async def _refusal_of(self, request: bytes) -> str | int:
        try:
            return (await self._make_global_request(request))[0]
        except ForwardForbiddenError as forbidden:
            return forbidden.reason


async def test_each_request_gets_the_message_that_precedes_its_reply() -> None:
    requests = FakeTransport()
    async with asyncio.TaskGroup() as tasks:
        first, second, third = (requests.ask(tasks) for _ in range(3))
        await asyncio.sleep(0)
        requests.answer()
        requests.record_debug_message(REFUSED)
        requests.answer()
        requests.answer(MSG_REQUEST_SUCCESS)

    assert first.result() == MSG_REQUEST_FAILURE
    assert second.result() == REFUSED
    assert third.result() == MSG_REQUEST_SUCCESS


async def test_other_messages_and_messages_without_a_request_are_ignored() -> None:
    requests = FakeTransport()
    requests.record_debug_message(REFUSED)
    async with asyncio.TaskGroup() as tasks:
        reply = requests.ask(tasks)
        await asyncio.sleep(0)
        requests.record_debug_message(
            'Forwarding listen address "*" overridden by server GatewayPorts'
        )
        requests.answer()

    assert reply.result() == MSG_REQUEST_FAILURE


async def test_a_rejected_keepalive_is_an_answer_despite_a_message() -> None:
    requests = FakeTransport()
    async with asyncio.TaskGroup() as tasks:
        reply = requests.ask(tasks, b"keepalive@openssh.com")
        await asyncio.sleep(0)
        requests.record_debug_message(REFUSED)
        requests.answer()

    assert reply.result() == MSG_REQUEST_FAILURE


async def test_a_cancelled_request_keeps_its_position() -> None:
    requests = FakeTransport()
    async with asyncio.TaskGroup() as tasks:
        cancelled, reply = requests.ask(tasks), requests.ask(tasks)
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0)
        requests.record_debug_message(REFUSED)
        requests.answer()
        requests.answer()

    assert reply.result() == MSG_REQUEST_FAILURE


def test_a_forbidden_listener_is_still_a_channel_listen_error() -> None:
    assert issubclass(ForwardForbiddenError, asyncssh.ChannelListenError)
