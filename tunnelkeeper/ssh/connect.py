"""One hop: connects to a host and logs in.

The steps are resolve, connect, key_exchange, host_key and login. Every failure names its hop and
is raised as a FailureError. The network has connect_timeout for the steps before the login, as in
ssh; the login has its own limit, because it may wait for a person.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import asyncssh

from tunnelkeeper.core import greetings
from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS, Cause, Failure, FailureError
from tunnelkeeper.core.keepalive import tcp_user_timeout
from tunnelkeeper.core.login_methods import MethodOrder, allowed_methods
from tunnelkeeper.core.text import printable
from tunnelkeeper.net import dial
from tunnelkeeper.net.stream_transport import StreamTransport
from tunnelkeeper.ssh.absent_user import AbsentUserNotice
from tunnelkeeper.ssh.attempt_failure import failure_of
from tunnelkeeper.ssh.auth import algorithms
from tunnelkeeper.ssh.auth.agent_question import ask_to_add
from tunnelkeeper.ssh.auth.host_key_policy import HostKeyPolicy
from tunnelkeeper.ssh.auth.host_key_question import join_question
from tunnelkeeper.ssh.auth.host_key_verifier import HostKeyVerifier
from tunnelkeeper.ssh.auth.identities import Identities
from tunnelkeeper.ssh.auth.key_loader import Unlocking
from tunnelkeeper.ssh.client_callbacks import ClientCallbacks
from tunnelkeeper.ssh.client_options import client_options
from tunnelkeeper.ssh.connection import Connection
from tunnelkeeper.ssh.connection_tracker import NetworkChangedError
from tunnelkeeper.ssh.hop_route import login_answers, way_to
from tunnelkeeper.ssh.host_key_updater import HostKeyUpdater
from tunnelkeeper.ssh.proxy_command import ProxyCommand
from tunnelkeeper.ssh.transport import ClientTransport

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.ssh.auth.login_answers import LoginAnswers
    from tunnelkeeper.ssh.context import ProgressListener, SshContext
    from tunnelkeeper.ssh.login_limiter import LoginSlot

NEXT_PORT_CAUSES = frozenset(
    {Cause.REFUSED, Cause.UNREACHABLE, Cause.TIMEOUT, Cause.LOST, Cause.PROTOCOL}
)
"""Causes that a firewall in front of a port can produce, before the login."""

LOGIN_TIMEOUT = 100.0
"""Seconds for the login of one hop. A person may have to touch a key or enter a PIN, and a server
may ask other servers. sshd closes the connection after 120 s (LoginGraceTime) and may then refuse
this address for a while (PerSourcePenalties), so we give up first."""


async def connect_hop(
    host: Host,
    jump: Connection | None,
    context: SshContext,
    progress: ProgressListener,
    *,
    is_shared: bool = False,
    kind: type[ConnectAttempt] | None = None,
) -> Connection:
    """Connect to a host, directly or through a jump host, trying its ports in order.

    A port whose server has begun the login is the right one. The next one would only ask the
    person at the agent again. is_shared: whether other tunnels will use the connection too.
    kind: the class of the attempts, ConnectAttempt by default.

    Raises:
        FailureError: The failure of the last port.
    """
    make = ConnectAttempt if kind is None else kind
    *others, last = host.ports
    for port in others:
        attempt = make(host, port, jump, context, progress, is_shared)
        try:
            return await attempt.run()
        except FailureError as failed:
            if attempt.is_overtaken:
                return await make(host, port, jump, context, progress, is_shared).run()
            if attempt.step == "login" or failed.failure.cause not in NEXT_PORT_CAUSES:
                raise
            progress.info(f"port {port}: {failed.failure}; trying the next port")
    attempt = make(host, last, jump, context, progress, is_shared)
    try:
        return await attempt.run()
    except FailureError:
        if not attempt.is_overtaken:
            raise
    return await make(host, last, jump, context, progress, is_shared).run()


@dataclass(slots=True)
class ConnectAttempt:
    """One attempt to connect to one port of one host.

    Attributes:
        is_shared: Whether other tunnels will use the connection too.
        answers: The answers of its login.
        deadline: The time limit of the steps before the login, then that of the login.
        slot: Its place among the concurrent logins to the server.
        is_overtaken: Whether what it failed for has changed meanwhile: another login saved a host
            key of another type, or a person unlocked the private key that it lacked.
        login_timeout: Seconds for the login.
        slow_login: The timer for a login that takes longer than logins normally do.
    """

    host: Host
    port: int
    jump: Connection | None
    context: SshContext
    progress: ProgressListener
    is_shared: bool = False
    transport: ClientTransport | None = None
    callbacks: ClientCallbacks | None = None
    deadline: asyncio.Timeout = field(init=False)
    slot: LoginSlot = field(init=False)
    answers: LoginAnswers = field(init=False)
    slow_login: asyncio.TimerHandle | None = None
    logged_in: asyncio.Future[None] = field(init=False)
    proxy_command: ProxyCommand | None = None
    verifier: HostKeyVerifier = field(init=False)
    policy: HostKeyPolicy = field(init=False)
    identities: Identities = field(init=False)
    absent_user: AbsentUserNotice = field(init=False)
    step: Step = "connect"
    is_overtaken: bool = False
    login_timeout: float = field(default_factory=lambda: LOGIN_TIMEOUT)

    @property
    def hop(self) -> str:
        """The host and port as failures name them."""
        return str(replace(self.host, ports=(self.port,)))

    async def run(self) -> Connection:
        """Return the connection, logged in.

        Raises:
            FailureError: The attempt failed. Nothing of it is left.
        """
        host = replace(self.host, ports=(self.port,))
        self.answers = login_answers(host, self.jump, self.context, self.progress)
        self.answers.deadline = lambda: self.deadline.when() or 0.0
        self.answers.on_asking = self._on_asking
        problem = ""
        try:
            return await self._connect_with_slot()
        except (OSError, asyncssh.Error, ValueError) as error:
            async with self._discarding():
                failure = await failure_of(self, error)
                self.is_overtaken |= self.step == "login" and self.identities.was_unlocked
                problem = failure.message
                raise FailureError(failure) from error
        except BaseException:
            async with self._discarding():
                raise
        finally:
            await self.answers.ended(problem)  # it does nothing after a success

    @property
    def local_address(self) -> str | None:
        """The address that this attempt connects from, or None before it is connected."""
        name = self.transport.get_extra_info("sockname") if self.transport is not None else None
        return str(name[0]).partition("%")[0] if name else None

    async def _connect_with_slot(self) -> Connection:
        """Connect while holding a slot of the login limiter, and report the result to it."""
        await self._prepare()
        async with self.context.login_limiter.acquire(self._server) as self.slot:
            try:
                connection = await self._connect_with_timeout()
            except (ConnectionError, asyncssh.ConnectionLost):
                if self._is_rejected_before_banner and (message := self.slot.rejected()):
                    self.progress.info(f"{self.hop}: {message}")
                raise
            finally:
                self._cancel_slow_login()
            self.slot.succeeded()
            await self.answers.succeeded(is_shared=self.is_shared)
            return connection

    @property
    def _is_rejected_before_banner(self) -> bool:
        """Whether the server closed the connection before it sent its identification.

        sshd does so above MaxStartups and under PerSourcePenalties, with or without a line before.
        Connections through a proxy command do not count: the command can end for its own reasons.
        """
        if self.transport is None or self.proxy_command is not None or self.step != "key_exchange":
            return False
        if self.transport.get_extra_info("server_version") is not None:
            return False
        return greetings.identify(self.transport.greeting) is None  # a web server, for example

    async def _connect_with_timeout(self) -> Connection:
        """Connect within the time limits. A network change restarts the attempt."""
        if self.jump is not None or self.host.proxy_command is not None:
            async with asyncio.timeout(self.host.connect_timeout) as self.deadline:
                return await self._connect()
        while True:
            try:
                async with (
                    asyncio.timeout(self.host.connect_timeout) as self.deadline,
                    self.context.connection_tracker.restart_on_network_change(self),
                ):
                    return await self._connect()
            except NetworkChangedError:
                self.progress.debug(f"{self.hop}: the network changed; connecting again")
                self._cancel_slow_login()
                await self._discard()
                await self._prepare()

    @property
    def _server(self) -> tuple[object, ...]:
        """The server as the login limiter knows it: its address, and the way to it."""
        return self.host.hostname, self.port, *way_to(self.host, self.jump)

    def _on_asking(self) -> None:
        """Let other logins proceed while a person is asked."""
        self.slot.release()
        self._cancel_slow_login()

    async def _prepare(self) -> None:
        """Read the files that the login needs. One on a disk that hangs must not hold a slot."""
        self.verifier = await HostKeyVerifier.prepare(
            self.host, self.port, self.context.known_hosts, self.progress.warn
        )
        self.verifier.tunnel = self.progress.tunnel
        if (waits := join_question(self.verifier, self.context.questions, self.hop)) is not None:
            raise FailureError(waits)
        self.policy = await HostKeyPolicy.prepare(self.host, self.context.revoked_keys)
        self.verifier.wall_time = self.context.wall_time
        self.verifier.debug = self.progress.debug
        host = replace(self.host, ports=(self.port,))
        self.identities = Identities(
            host,
            self.context.keys,
            wall_time=self.context.wall_time,
            unlocking=Unlocking(self.context.unlocker, self.progress, self.progress.tunnel),
            confirm=lambda text: ask_to_add(self.answers, text),
        )
        wait = self.identities.user_wait
        self.absent_user = AbsentUserNotice(self.hop, wait, self.progress, self.context.questions)
        wait.on_slow, wait.on_done = self._on_absent_user, self.absent_user.end
        await self.identities.read_files()

    async def _connect(self) -> Connection:
        callbacks = ClientCallbacks(self.verifier, self.identities, self.progress.debug)
        self.callbacks = callbacks
        options = client_options(self.host, self.port, self.verifier, callbacks)
        options.waiter = self.logged_in = asyncio.get_running_loop().create_future()
        self.transport = ClientTransport(asyncio.get_running_loop(), options, wait="auth")
        self.transport.descriptors = self.context.descriptors
        self.transport.use_budget(self.context.budget, str(self.host), key=str(self.host))
        self.transport.counts_received = bool(self.host.rekey_limit.size)
        if self.host.known_hosts_command:
            self.transport.prepare_for_key = self.verifier.prepare_for_key
        self.transport.check_host_key = self.policy.check_host_key
        self.transport.verify_certificate = self.verifier.verify_certificate
        self.transport.before_login = self._before_login
        if self.host.update_host_keys:
            self.transport.on_host_keys = HostKeyUpdater(
                self.verifier,
                self.policy,
                self.transport,
                self.progress,
                self.context.questions,
                self.hop,
            ).update
        self.transport.answers = self.answers
        self.answers.begin(self.identities.record, self.transport.login_replies)
        self.transport.methods = MethodOrder(allowed_methods(self.host))
        await self._connect_transport(self.transport)
        self._set_step("key_exchange")
        self.transport.last_received_at = time.monotonic()
        self.transport.on_step = self._set_step
        self.transport.set_extra_info(host=self.host.hostname, port=self.port)
        await self.logged_in
        name = self.transport.key_exchange
        if warning := algorithms.weak_key_exchange_warning(self.host, name):
            self.progress.info(f"{self.hop}: {warning}")
        host = self.identities.host
        connection = Connection(host, self.transport, callbacks, self.jump, self.proxy_command)
        self.context.connection_tracker.connections.add(connection)
        return connection

    async def _connect_transport(self, transport: ClientTransport) -> None:
        """Connect the transport to the server."""
        loop = asyncio.get_running_loop()
        if self.host.proxy_command is not None:
            self._set_step("connect")
            connected = await self._start_proxy_command(self.host.proxy_command)
        elif self.jump is not None:
            self._set_step("connect")
            await self.jump.open_transport(self.host.hostname, self.port, transport)
            return
        else:
            self._set_step("resolve")
            infos = await dial.resolve(self.host.hostname, self.port, self.host.address_family)
            self._set_step("connect")
            source = dial.Source(self.host.bind_address, self.host.bind_interface)
            connected = await dial.connect(infos, source)
            dial.limit_unsent(connected)
            if self.host.tcp_keepalive:
                dial.limit_unacknowledged(connected, tcp_user_timeout(self.host.keepalive))
        try:
            if self.proxy_command is None:
                await self.verifier.use_address(connected.getpeername()[0])
            StreamTransport(loop, connected, transport, connected.getpeername())
        except BaseException:
            connected.close()
            raise

    async def _start_proxy_command(self, command: str) -> socket.socket:
        log = self.progress.info
        try:
            self.proxy_command, connected = await ProxyCommand.run(
                command, lambda line: log(f"proxy command: {line}")
            )
        except OSError as error:
            if error.errno in EXHAUSTION_ERRNOS:
                raise
            message = f"the proxy command cannot be started: {printable(str(error))}"
            hint = "correct the variable SHELL, or unset it"
            raise FailureError(Failure(Cause.PROXY, message, self.hop, hint)) from error
        return connected

    def _set_step(self, step: Step) -> None:
        self.step = step
        self.progress.step(self.hop, step)
        if step == "login" and not self.logged_in.done():
            loop = asyncio.get_running_loop()
            self.deadline.reschedule(loop.time() + self.login_timeout)
            self._cancel_slow_login()
            self.slow_login = loop.call_later(self.host.connect_timeout, self._on_slow_login)

    def _cancel_slow_login(self) -> None:
        self.absent_user.end()
        if self.slow_login is not None:
            self.slow_login.cancel()

    def _on_absent_user(self) -> None:
        """Let other logins proceed while a person is waited for, and show what for."""
        self.slot.release()
        self.absent_user.begin()

    def _on_slow_login(self) -> None:
        """Let other logins proceed while the server works on this one, and log that."""
        self.slot.release()
        if not self.identities.user_wait.is_slow:
            message = f"the login is not done after {self.host.connect_timeout:g} s"
            self.progress.info(f"{self.hop}: {message}; waiting for the server{self.banner}")

    @property
    def banner(self) -> str:
        """The server's banner as the end of a message, or an empty string."""
        banner = self.callbacks.banner if self.callbacks is not None else ""
        return f', which says: "{banner}"' if banner else ""

    def _before_login(self) -> Awaitable[None] | None:
        """Return what must be done before the login, now that the server's key is verified."""
        return self._save_host_key() if self.verifier.has_new_keys else None

    async def _save_host_key(self) -> None:
        """Save a new host key. Raises HostKeyNotVerifiable if another key was saved meanwhile."""
        try:
            for message in await self.verifier.save_new_keys():
                self.progress.info(message)
        except OSError as error:
            self.progress.warn(f"the host key of {self.hop} could not be saved: {error}")
        finally:
            self.is_overtaken = self.verifier.is_overtaken

    @asynccontextmanager
    async def _discarding(self) -> AsyncIterator[None]:
        """Abort the connection before the block, and end the proxy command after it."""
        try:
            await self._discard()
            yield
        finally:
            if self.proxy_command is not None:
                await self.proxy_command.terminate()

    async def _discard(self) -> None:
        if self.transport is not None:
            self.logged_in.cancel()  # else a channel that opens too late would set its result
            self.transport.abort()
