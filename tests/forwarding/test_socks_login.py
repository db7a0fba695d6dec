"""The login with user and password of SOCKS5 (RFC 1929)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.forwarding.socks_client import SELECTED, socks4a, socks5_name
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.forwarding.socks import Handshake
from tunnelkeeper.forwarding.socks_passwords import (
    FIELD_LIMIT,
    PasswordFileError,
    parse_passwords,
    read_passwords,
)

if TYPE_CHECKING:
    from pathlib import Path

OFFER_BOTH = b"\x05\x02\x00\x02"
PASSWORD_SELECTED = b"\x05\x02"
REQUEST = socks5_name(b"db.home", 5432)
TARGET = TcpAddress("db.home", 5432)
PASSWORDS = parse_passwords(b"# who may use it\nann:secret:1\n\nbox:\xff\xfe\n")

fields = st.binary(min_size=0, max_size=FIELD_LIMIT)
words = st.text("az09 #é🦀", min_size=1, max_size=60).map(str.encode)
entries = st.tuples(words.filter(lambda user: user.strip() and user[0:1] != b"#"), words)


def login(user: bytes, password: bytes) -> bytes:
    return b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password


def handshake() -> Handshake:
    return Handshake(PASSWORDS.accept)


def test_a_client_with_the_password_gets_its_request() -> None:
    client = handshake()

    assert client.receive(OFFER_BOTH) == PASSWORD_SELECTED
    assert client.receive(login(b"ann", b"secret:1")) == b"\x01\x00"
    assert client.receive(REQUEST) == b""
    assert client.request == TARGET


@pytest.mark.parametrize(
    ("user", "password"),
    [(b"ann", b"secret"), (b"ann", b""), (b"", b""), (b"box", b"secret:1"), (b"ANN", b"secret:1")],
)
def test_a_wrong_password_is_rejected_without_repeating_it(user: bytes, password: bytes) -> None:
    client = handshake()

    answer = client.receive(OFFER_BOTH + login(user, password) + REQUEST)

    assert answer == PASSWORD_SELECTED + b"\x01\x01"
    assert client.request is None
    assert client.rejection == "SOCKS5: wrong user or password"


def test_a_client_that_offers_no_password_is_rejected() -> None:
    client = handshake()

    assert client.receive(b"\x05\x01\x00") == b"\x05\xff"
    assert client.rejection == (
        "SOCKS5: expected the method 'user and password' (2) among those offered, got 0"
    )


def test_a_client_of_socks4_is_rejected_after_its_request() -> None:
    client = handshake()

    assert client.receive(socks4a(b"db.home")) == b"\x00\x5b" + bytes(6)
    assert client.rejection is not None
    assert "only SOCKS5 has" in client.rejection


def test_without_a_password_a_client_that_offers_one_gives_none() -> None:
    assert Handshake().receive(OFFER_BOTH) == SELECTED


def test_a_login_of_another_version_is_rejected() -> None:
    client = handshake()

    assert client.receive(OFFER_BOTH + b"\x05\x01a\x01b") == PASSWORD_SELECTED + b"\x01\x01"
    assert client.rejection == "SOCKS5: expected version 1 in the login, got 5"


@given(fields, fields, st.integers(1, 600))
def test_a_login_in_pieces_has_one_result(user: bytes, password: bytes, size: int) -> None:
    data = OFFER_BOTH + login(user, password) + REQUEST
    client = handshake()

    for start in range(0, len(data), size):
        client.receive(data[start : start + size])
        if client.rejection is not None:
            break

    is_right = PASSWORDS.accept(user, password)
    assert (client.request == TARGET) is is_right
    assert (client.rejection is None) is is_right


@given(st.binary(max_size=900))
def test_no_input_passes_without_a_password(data: bytes) -> None:
    client = Handshake(lambda _user, _password: False)

    client.receive(data)

    assert client.request is None


@given(st.lists(entries, min_size=1, max_size=5), entries)
def test_exactly_the_listed_users_are_accepted(
    listed: list[tuple[bytes, bytes]], other: tuple[bytes, bytes]
) -> None:
    passwords = parse_passwords(b"\n".join(user + b":" + word for user, word in listed))

    assert all(passwords.accept(*each) for each in listed)
    assert passwords.accept(*other) is (other in listed)


@given(st.binary(max_size=300))
def test_any_file_is_parsed_or_an_error_without_its_content(data: bytes) -> None:
    message = "line 1: expected a line"
    try:
        parse_passwords(data)
    except ValueError as error:
        message = str(error)

    assert message.startswith(("line ", "expected a line"))


# -- the file --------------------------------------------------------------------------------------


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text("ann:secret\n")
    path.chmod(0o644)

    with pytest.raises(PasswordFileError, match=r"others can read it \(mode 0644\)") as refused:
        read_passwords(str(path))
    assert refused.value.hint == f"chmod 600 {path}"
    path.chmod(0o600)

    assert read_passwords(str(path)).accept(b"ann", b"secret")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("secret\n", "line 1: expected user:password"),
        ("ann:\n", "line 1: expected user:password"),
        (f"\nann:{'x' * 256}\n", "line 2: longer than 255 bytes"),
        ("# nobody\n", "expected a line user:password, found none"),
    ],
)
def test_a_file_that_is_wrong_is_refused_without_its_content(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "passwords"
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(PasswordFileError, match=reason) as failed:
        read_passwords(str(path))

    assert "secret" not in str(failed.value)
    assert "xxx" not in str(failed.value)


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(PasswordFileError, match=r"missing: No such file"):
        read_passwords(str(tmp_path / "missing"))
