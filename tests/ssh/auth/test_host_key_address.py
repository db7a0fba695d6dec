"""CheckHostIP and NoHostAuthenticationForLocalhost: decisions by the address of a server.

The servers of other tests are on the loopback, where CheckHostIP does not apply.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from tests.ssh.server import new_key, public
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.ssh.auth.host_key_verifier import HostKeyVerifier
from tunnelkeeper.ssh.auth.known_hosts_file import KnownHostsFiles
from tunnelkeeper.ssh.errors import to_failure

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "192.0.2.7"


async def verifier(known_hosts: Path, address: str, **options: Any) -> HostKeyVerifier:
    host = Host("relay", "relay", "me", user_known_hosts=(str(known_hosts),), **options)
    made = await HostKeyVerifier.prepare(host, 2222, KnownHostsFiles(), pytest.fail)
    await made.use_address(address)
    return made


async def test_a_key_that_is_not_that_of_the_address_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    key, other = new_key(), new_key("ecdsa-sha2-nistp256")
    file.write_text(f"[relay]:2222 {public(key)}\n[{ADDRESS}]:2222 {public(other)}\n")
    check = await verifier(file, ADDRESS, check_host_ip=True)

    assert not check.verify(key)
    assert check.failure is not None
    assert check.failure.cause is Cause.HOST_KEY_CHANGED
    assert f"not that of its address [{ADDRESS}]:2222" in check.failure.message
    assert f"{file}:2" in check.failure.message
    assert await check.save_new_keys() == []


@pytest.mark.parametrize(
    ("address", "options"),
    [(ADDRESS, {}), ("127.0.0.1", {"check_host_ip": True}), ("::1", {"check_host_ip": True})],
)
async def test_the_address_does_not_matter_unless_asked_for_nor_on_the_loopback(
    tmp_path: Path, address: str, options: Any
) -> None:
    file = tmp_path / "known_hosts"
    key = new_key()
    file.write_text(f"[relay]:2222 {public(key)}\n[{address}]:2222 {public(new_key())}\n")
    check = await verifier(file, address, **options)

    assert check.verify(key)
    assert await check.save_new_keys() == []


async def test_a_new_address_of_a_known_server_is_saved(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    key = new_key()
    file.write_text(f"[relay]:2222 {public(key)}\n")
    check = await verifier(file, ADDRESS, check_host_ip=True)

    assert check.verify(key)
    [message] = await check.save_new_keys()
    assert ADDRESS in message
    assert file.read_text().splitlines() == [
        f"[relay]:2222 {public(key)}",
        f"[{ADDRESS}]:2222 {public(key)}",
    ]


@pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT, errno.EMFILE])
async def test_known_hosts_that_cannot_be_read_do_not_blame_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    check = await verifier(tmp_path / "known_hosts", "127.0.0.1", check_host_ip=True)

    def fail(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(KnownHostsFiles, "keys_for_blocking", fail)
    with pytest.raises((FailureError, OSError)) as failed:
        await check.use_address(ADDRESS)

    failure = to_failure(failed.value, "hop", "connect")
    assert failure.cause is Cause.LOCAL_RESOURCES
    assert os.strerror(number) in failure.message


async def test_a_new_server_is_saved_with_its_address(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    options = {"check_host_ip": True, "host_key_policy": "accept-new"}
    check = await verifier(file, ADDRESS, **options)
    assert check.verify(new_key())
    assert len(await check.save_new_keys()) == 2

    again = await verifier(file, ADDRESS, **options)

    assert not again.verify(new_key())


async def test_a_new_server_with_the_address_of_another_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"[{ADDRESS}]:2222 {public(new_key())}\n")
    options = {"check_host_ip": True, "host_key_policy": "accept-new"}
    check = await verifier(file, ADDRESS, **options)
    before = file.read_text()

    assert not check.verify(new_key())
    assert await check.save_new_keys() == []
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("address", "options", "expected"),
    [
        ("127.0.0.1", {}, True),
        ("127.0.0.9", {}, True),
        ("::1", {}, True),
        (ADDRESS, {}, False),
        ("127.0.0.1", {"host_key_alias": "a"}, False),
    ],
)
async def test_any_key_of_this_machine_is_accepted_if_asked_for(
    tmp_path: Path, address: str, options: Any, expected: bool
) -> None:
    file = tmp_path / "known_hosts"
    exempt = {"no_host_authentication_for_localhost": True, **options}
    check = await verifier(file, address, **exempt)

    assert check.verify(new_key()) is expected
    assert await check.save_new_keys() == []
    assert not file.exists()
