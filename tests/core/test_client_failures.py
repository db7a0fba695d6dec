from __future__ import annotations

from tunnelkeeper.core.client_failures import (
    ClientFailures,
    after_failure,
    after_success,
    denial,
)
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress

NOON = "2026-11-22T12:00:00Z"
LATER = "2026-11-22T13:00:00Z"


def test_clients_in_a_row_are_counted() -> None:
    first = after_failure(None, "refused", NOON)
    second = after_failure(first, "timed out", LATER)

    assert first == ClientFailures(1, NOON, "refused")
    assert second == ClientFailures(2, LATER, "timed out")


def test_a_served_client_keeps_the_last_failure_and_restarts_the_count() -> None:
    recovered = after_success(ClientFailures(3, NOON, "refused"))

    assert recovered == ClientFailures(3, NOON, "refused", has_recovered=True)
    assert after_success(recovered) is recovered
    assert after_failure(recovered, "refused", LATER) == ClientFailures(1, LATER, "refused")


def test_a_served_client_without_a_failure_records_nothing() -> None:
    assert after_success(None) is None


def test_a_denial_names_the_target_and_what_to_change() -> None:
    error = ConnectError(Reason.NOT_PERMITTED, "administratively prohibited", is_denied=True)
    failure = denial(TcpAddress("db", 5432), error)

    assert failure.cause is Cause.FORWARD_DENIED
    assert failure.message == (
        "the server does not permit connections to db:5432: administratively prohibited"
    )
    assert "AllowTcpForwarding" in failure.hint
    assert "permitopen" in failure.hint


def test_a_kind_of_target_that_a_server_does_not_know_is_no_matter_of_permissions() -> None:
    error = ConnectError(Reason.FAILED, "unknown channel type", is_denied=True)
    failure = denial(UnixAddress("/run/db.sock"), error)

    assert failure.cause is Cause.FORWARD_DENIED
    assert failure.message == (
        "the server does not support connections to /run/db.sock: unknown channel type"
    )
    assert "AllowTcpForwarding" not in failure.hint
