"""Servers that hang, stay silent or send garbage: no attempt waits for them forever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from tests.e2e.sandbox import USER
from tests.faults.expectation import (
    BACKOFF,
    CONNECT_LIMIT,
    UNANSWERED_KEEPALIVES,
    Bound,
    expects,
)
from tests.faults.servers import (
    Handler,
    close_at_once,
    drip_banner,
    send_banner_then_garbage,
    send_garbage,
    serving,
    stay_silent,
)
from tests.requirements import require

if TYPE_CHECKING:
    from tests.faults.scenario import Scenario

DROPS = 5
GRACE_TIME = Bound("`LoginGraceTime` of sshd_config", 2.0)
LOGIN_DURATION = 600
"""Seconds for which a login hangs: longer than any test."""


def replace_server(scenario: Scenario, handler: Handler, text: str = "") -> None:
    """Run another server at the tunnel's address until a failure with this text is reported."""
    scenario.start_tunnel()
    scenario.link.redirect_to(scenario.background.enter(serving(handler)))
    scenario.link.reset()
    scenario.wait_for_expected_status(text)
    scenario.link.redirect_to(scenario.server.port)
    scenario.check_recovery()


@expects(
    "the server accepts and stays silent",
    status=("backoff", "timeout"),
    reported_within=CONNECT_LIMIT,
    recovered_within=CONNECT_LIMIT + BACKOFF,
)
def test_a_silent_server_times_out(scenario: Scenario) -> None:
    replace_server(scenario, stay_silent)


@expects(
    "the server's banner comes byte by byte and never ends",
    status=("backoff", "timeout"),
    reported_within=CONNECT_LIMIT,
    recovered_within=CONNECT_LIMIT + BACKOFF,
)
def test_a_banner_that_never_ends_times_out(scenario: Scenario) -> None:
    replace_server(scenario, drip_banner)


@expects(
    "a server other than SSH answers", status=("backoff", "protocol"), recovered_within=BACKOFF
)
def test_garbage_is_reported_as_a_protocol_error(scenario: Scenario) -> None:
    replace_server(scenario, send_garbage)


@expects("garbage follows the SSH banner", status=("backoff", "protocol"), recovered_within=BACKOFF)
def test_garbage_after_a_banner_is_reported_as_a_protocol_error(scenario: Scenario) -> None:
    replace_server(scenario, send_banner_then_garbage)


@expects(
    "the server accepts and closes the connection",
    status=("backoff", "lost"),
    recovered_within=BACKOFF,
)
def test_a_server_that_closes_at_once_is_retried(scenario: Scenario) -> None:
    replace_server(scenario, close_at_once, "before the key exchange")


@expects(
    "the login hangs until the server ends it",
    status=("backoff", "lost"),
    reported_within=GRACE_TIME,
    recovered_within=BACKOFF,
)
def test_a_login_that_the_server_ends_is_retried(scenario: Scenario) -> None:
    hanging = scenario.sandbox.sshd(
        known=False,
        HostKey=str(scenario.server.host_key),
        AuthorizedKeysFile="none",
        AuthorizedKeysCommand=f"{require('sleep')} {LOGIN_DURATION}",
        AuthorizedKeysCommandUser=USER,
        LoginGraceTime=f"{GRACE_TIME.seconds:g}",
    )
    scenario.start_tunnel()
    scenario.link.redirect_to(hanging.port)
    scenario.link.reset()
    scenario.wait_for_expected_status("during the login")
    scenario.link.redirect_to(scenario.server.port)
    scenario.check_recovery()


@expects(
    "the server's process for the connection is stopped",
    status=("backoff", "peer_dead"),
    reported_within=UNANSWERED_KEEPALIVES,
    recovered_within=BACKOFF,
)
def test_a_connection_whose_server_process_is_stopped_is_replaced(scenario: Scenario) -> None:
    scenario.start_tunnel()
    sessions = [psutil.Process(pid) for pid in scenario.server.sessions()]
    for session in sessions:
        session.suspend()
    scenario.wait_for_expected_status()
    scenario.wait_until_up()  # on a new connection while the old one still hangs
    for session in sessions:
        session.resume()
    scenario.check_recovery()


@expects(
    "the whole server is stopped, and resumes",
    status=("backoff", "timeout"),
    reported_within=UNANSWERED_KEEPALIVES + CONNECT_LIMIT,
    recovered_within=CONNECT_LIMIT + BACKOFF,
)
def test_a_tunnel_reconnects_when_a_stopped_server_resumes(scenario: Scenario) -> None:
    scenario.start_tunnel()
    scenario.server.suspend()
    scenario.wait_for_expected_status()
    assert ("backoff", "peer_dead") in scenario.states()
    scenario.server.resume()
    scenario.check_recovery()


@expects(
    "the server drops every connection soon after it is up",
    status=("backoff", "lost"),
    recovered_within=BACKOFF,
)
def test_a_server_that_keeps_dropping_connections_is_backed_off_from(scenario: Scenario) -> None:
    scenario.start_tunnel("gate_time = 600")
    for drops in range(DROPS):
        scenario.link.reset()
        scenario.wait_for_restarts(times=drops + 1)
    scenario.wait_for_expected_status()
    assert scenario.failed_attempts() >= DROPS  # each delay was longer, up to the maximum
    scenario.check_recovery()
