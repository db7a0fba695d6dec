"""Authorization of keys and certificates, and the limit of attempts."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.relay.in_process_relay import new_key, public
from tunnelkeeper.relay.key_auth import (
    Admitted,
    AuthAttempts,
    Denied,
    authorize,
    is_listed,
    parse_key,
)
from tunnelkeeper.relay.key_file import KeyFile
from tunnelkeeper.ssh.auth.openssh_certificate import signer_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOURCE = "192.0.2.7"


@cache
def key(number: int) -> asyncssh.SSHKey:
    del number
    return new_key()


def keys(options: str = "", of: asyncssh.SSHKey | None = None) -> KeyFile:
    """Return the authorized_keys line of a key or of an authority."""
    line = f"{options} {public(of or key(1))}".lstrip()
    found = KeyFile(line.encode(), "authorized_keys", UTC)
    assert not found.warnings()
    return found


def parsed(data: bytes) -> Any:
    candidate = parse_key(data)
    assert candidate is not None
    return candidate


def authorize_key(
    options: str = "", *, offered: bytes | None = None, user: str = "box", source: str = SOURCE
) -> Admitted | Denied:
    data = key(1).public_data if offered is None else offered
    return authorize(parsed(data), user, keys(options), source, NOW)


def certificate(**options: Any) -> bytes:
    """Return a certificate of key number 2, signed by key number 1."""
    settings = {"principals": ["box"], **options}
    return key(1).generate_user_certificate(key(2), "an id", **settings).public_data


def authorize_certificate(options: str = "cert-authority", **settings: Any) -> Admitted | Denied:
    user = settings.pop("user", "box")
    source = settings.pop("source", SOURCE)
    return authorize_key(options, offered=certificate(**settings), user=user, source=source)


# -- keys ------------------------------------------------------------------------------------------


def test_an_authorized_key_is_accepted() -> None:
    admitted = authorize_key()

    assert isinstance(admitted, Admitted)
    assert admitted.identity == ("box", key(1).public_data)
    assert admitted.options.port_forwarding
    assert admitted.key.fingerprint == key(1).get_fingerprint()


def test_a_key_that_is_not_authorized_is_refused() -> None:
    assert authorize_key(offered=key(3).public_data) == Denied("this key is not authorized")


def test_an_authority_key_cannot_log_in_itself() -> None:
    assert authorize_key("cert-authority") == Denied("this key is not authorized")


@pytest.mark.parametrize(
    ("options", "admitted"),
    [
        ('expiry-time="20261122115959Z"', False),
        ('expiry-time="20261122120001Z"', True),
        ('from="192.0.2.0/24"', True),
        ('from="!192.0.2.7,192.0.2.0/24"', False),
        ('from="198.51.100.0/24"', False),
        ('from="192.0.2.?"', True),
        ('command="uptime"', True),
        ("restrict", True),
    ],
)
def test_expiry_time_and_source_restrict_a_key(options: str, admitted: bool) -> None:
    assert isinstance(authorize_key(options), Admitted) == admitted


@pytest.mark.parametrize(
    ("options", "forwards"),
    [("restrict", False), ("restrict,port-forwarding", True), ("no-port-forwarding", False)],
)
def test_an_accepted_key_carries_its_options(options: str, forwards: bool) -> None:
    admitted = authorize_key(options)

    assert isinstance(admitted, Admitted)
    assert admitted.options.port_forwarding == forwards


def test_no_touch_required_in_the_line_waives_the_touch() -> None:
    admitted, without_touch = authorize_key(), authorize_key("no-touch-required")

    assert isinstance(admitted, Admitted)
    assert isinstance(without_touch, Admitted)
    assert (admitted.touch_required, without_touch.touch_required) == (True, False)


# -- certificates ----------------------------------------------------------------------------------


def test_a_certificate_is_accepted_for_its_principals() -> None:
    admitted = authorize_certificate()

    assert isinstance(admitted, Admitted)
    assert admitted.identity == ("box", key(2).public_data)
    assert isinstance(authorize_certificate(user="other"), Denied)


def test_a_certificate_of_a_key_without_cert_authority_is_refused() -> None:
    assert authorize_certificate(options="") == Denied("this key is not authorized")


@pytest.mark.parametrize(
    ("options", "principals", "admitted"),
    [
        ('cert-authority,principals="staff"', ["staff"], True),
        ('cert-authority,principals="ops,staff"', ["staff"], True),
        ('cert-authority,principals="ops"', ["box"], False),
        ('cert-authority,principals="ops"', [], False),
        ("cert-authority", [], False),  # as in sshd of OpenSSH 10.3: valid for no user
    ],
)
def test_principals_of_the_line_replace_the_user_name(
    options: str, principals: list[str], admitted: bool
) -> None:
    assert isinstance(authorize_certificate(options, principals=principals), Admitted) == admitted


def test_a_certificate_is_accepted_only_within_its_validity() -> None:
    assert isinstance(authorize_certificate(valid_before="20200101"), Denied)
    assert isinstance(authorize_certificate(valid_after="20990101"), Denied)


def test_a_host_certificate_is_refused() -> None:
    data = key(1).generate_host_certificate(key(2), "an id", principals=["box"]).public_data

    assert isinstance(authorize_key("cert-authority", offered=data), Denied)


def test_a_certificate_can_restrict_the_source_address() -> None:
    assert isinstance(authorize_certificate(source_address=["192.0.2.0/24"]), Admitted)
    assert isinstance(
        authorize_certificate(source_address=["192.0.2.0/24"], source="198.51.100.1"), Denied
    )
    assert isinstance(authorize_certificate(source_address=["2001:db8::/32"]), Denied)


def test_a_certificate_can_disable_forwarding() -> None:
    admitted = authorize_certificate(permit_port_forwarding=False)

    assert isinstance(admitted, Admitted)
    assert not admitted.options.port_forwarding


def test_a_certificate_does_not_grant_what_its_line_refuses() -> None:
    admitted = authorize_certificate("cert-authority,restrict", permit_port_forwarding=True)

    assert isinstance(admitted, Admitted)
    assert not admitted.options.port_forwarding


def test_a_certificate_and_its_line_must_force_the_same_command() -> None:
    line = 'cert-authority,command="uptime"'

    assert isinstance(authorize_certificate(line, force_command="uptime"), Admitted)
    assert isinstance(authorize_certificate(line, force_command="id"), Denied)
    assert isinstance(authorize_certificate("cert-authority", force_command="id"), Admitted)


def test_touch_is_waived_only_by_line_and_certificate_together() -> None:
    in_both = authorize_certificate("cert-authority,no-touch-required", touch_required=False)
    line = authorize_certificate("cert-authority,no-touch-required")

    assert isinstance(in_both, Admitted)
    assert isinstance(line, Admitted)
    assert (in_both.touch_required, line.touch_required) == (False, True)


def test_a_tampered_certificate_is_not_parsed() -> None:
    data = bytearray(certificate())
    data[-1] ^= 1

    assert parse_key(bytes(data)) is None


@given(st.binary(max_size=200))
def test_arbitrary_key_bytes_never_raise(data: bytes) -> None:
    candidate = parse_key(data)

    assert candidate is None or isinstance(
        authorize(candidate, "box", keys(), SOURCE, NOW), Admitted | Denied
    )


@given(st.integers(0, 250), st.binary(max_size=8))
def test_a_damaged_certificate_is_refused(at: int, damage: bytes) -> None:
    data = certificate()
    damaged = data[:at] + damage + data[at + len(damage) :]
    candidate = parse_key(damaged)

    assert damaged == data or candidate is None


# -- attempts --------------------------------------------------------------------------------------


def fail(attempts: AuthAttempts, times: int) -> None:
    for _ in range(times):
        assert attempts.record_request(b"box", b"publickey") is None
        attempts.record_failure()


def test_the_attempt_after_six_failures_disconnects() -> None:
    attempts = AuthAttempts(6)
    fail(attempts, 6)

    assert attempts.record_request(b"box", b"publickey") == "Too many authentication failures"


def test_a_first_none_request_is_not_an_attempt() -> None:
    attempts = AuthAttempts(6)
    attempts.record_request(b"box", b"none")
    attempts.record_failure()
    fail(attempts, 6)
    assert attempts.failed == 6


def test_a_second_none_request_is_an_attempt() -> None:
    attempts = AuthAttempts(2)
    for _ in range(3):
        assert attempts.record_request(b"box", b"none") is None
        attempts.record_failure()
    assert attempts.record_request(b"box", b"none") is not None


def test_pipelined_requests_are_limited() -> None:
    attempts = AuthAttempts(6)
    answers = [attempts.record_request(b"box", b"publickey") for _ in range(100)]

    assert answers[27:] == [None] + ["Too many authentication failures"] * 72


def test_without_a_limit_attempts_are_unlimited() -> None:
    attempts = AuthAttempts(0)
    fail(attempts, 1000)


def test_the_user_of_a_connection_must_not_change() -> None:
    attempts = AuthAttempts(6)
    attempts.record_request(b"box", b"none")

    assert attempts.record_request(b"other", b"none") == "Change of username or service not allowed"


# -- before a key is parsed ------------------------------------------------------------------------


def test_a_key_is_listed_if_the_file_has_it_or_the_signer_of_its_certificate() -> None:
    own, authority = keys(), keys("cert-authority")

    assert is_listed(key(1).public_data, own)
    assert is_listed(certificate(), authority)
    assert not is_listed(key(2).public_data, own)
    assert not is_listed(key(3).generate_user_certificate(key(1), "an id").public_data, own)


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"])
def test_the_signer_of_a_certificate_is_found_without_parsing_it(kind: str) -> None:
    certified = asyncssh.generate_private_key(kind)
    data = key(1).generate_user_certificate(certified, "an id", principals=["a", "b"]).public_data

    assert signer_of(data) == key(1).public_data
    assert signer_of(data[:-100]) is None
    assert signer_of(key(1).public_data) is None


@given(st.binary(max_size=100))
def test_any_bytes_are_listed_or_not(data: bytes) -> None:
    name = b"ssh-ed25519-cert-v01@openssh.com"
    for offered in (data, len(name).to_bytes(4) + name + data):
        assert not is_listed(offered, keys())
