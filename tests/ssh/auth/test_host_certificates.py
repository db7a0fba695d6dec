"""Host certificates that are accepted, and those whose plain key counts instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ssh.attempts import failure_of
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import connected, new_key, public, serve
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.ssh.auth.known_hosts import fingerprint
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from pathlib import Path

YEAR_2000, YEAR_2040 = 946684800, 2208988800


async def test_a_host_certificate_of_a_known_ca_is_accepted(tmp_path: Path) -> None:
    authority = new_key()
    async with serve(tmp_path, certified_by=authority) as server:
        server.add_known_host_key(authority, "@cert-authority")
        async with connected(server.host()):
            assert server.logins == ["me"]


async def test_without_a_known_plain_key_the_failure_names_the_unknown_ca(tmp_path: Path) -> None:
    authority = new_key()
    async with serve(tmp_path, certified_by=authority) as server:
        server.add_known_host_key(new_key(), "@cert-authority")

        failure = await failure_of(server.host())

        assert failure.cause is Cause.HOST_KEY_UNKNOWN
        assert fingerprint(server.host_key.public_data) in failure.message
        assert f"its CA key {fingerprint(authority.public_data)}" in failure.message
        assert server.logins == []


@pytest.mark.parametrize("revoked", ["authority", "key"])
async def test_a_certificate_with_a_revoked_key_does_not_fall_back(
    tmp_path: Path, revoked: str
) -> None:
    authority = new_key()
    async with serve(tmp_path, certified_by=authority) as server:
        server.add_known_host_key(authority, "@cert-authority")
        server.add_known_host_key(server.host_key)
        server.add_known_host_key(
            authority if revoked == "authority" else server.host_key, "@revoked"
        )

        failure = await failure_of(server.host())

        assert failure.cause is Cause.HOST_KEY_CHANGED
        assert ("whose CA key is revoked" in failure.message) == (revoked == "authority")
        assert "revoked in" in failure.message


async def test_a_certificate_for_another_name_falls_back_to_the_plain_key(tmp_path: Path) -> None:
    authority = new_key()
    async with serve(tmp_path, certified_by=authority) as server:
        lines = [f"@cert-authority home {public(authority)}", f"home {public(server.host_key)}"]
        server.known_hosts.write_text("\n".join(lines) + "\n")
        progress = ProgressRecorder()
        async with connected(server.host(host_key_alias="home"), progress):
            assert server.logins == ["me"]

        server.known_hosts.write_text(lines[0] + "\n")
        failure = await failure_of(server.host(host_key_alias="home"))

    assert failure.cause is Cause.HOST_KEY_UNKNOWN
    assert "it is for 127.0.0.1, not for home" in failure.message
    assert failure.certificate_validity is None


async def test_the_name_in_a_certificate_is_compared_in_lower_case(tmp_path: Path) -> None:
    authority, key = new_key(), new_key()
    certificate = authority.generate_host_certificate(key, "host", principals=["home"])
    async with serve(tmp_path, server_host_keys=[key], server_host_certs=[certificate]) as server:
        server.known_hosts.write_text(f"@cert-authority home {public(authority)}\n")
        async with connected(server.host(host_key_alias="HOME")):
            assert server.logins == ["me"]


@pytest.mark.parametrize(
    ("now", "accepted"),
    [(YEAR_2000 - 1, False), (YEAR_2000, True), (YEAR_2040 - 1, True), (YEAR_2040, False)],
)
async def test_the_validity_is_judged_by_the_clock_that_is_handed_in(
    tmp_path: Path, now: float, accepted: bool
) -> None:
    authority, key = new_key(), new_key()
    certificate = authority.generate_host_certificate(
        key, "host", valid_after=YEAR_2000, valid_before=YEAR_2040
    )
    async with serve(tmp_path, server_host_keys=[key], server_host_certs=[certificate]) as server:
        server.known_hosts.unlink()
        server.add_known_host_key(authority, "@cert-authority")
        context = SshContext(wall_time=lambda: now)
        if accepted:
            connection = await connect_hop(server.host(), None, context, ProgressRecorder())
            await connection.close()
            return
        failure = await failure_of(server.host(), context=context)

    validity: tuple[float, float] = (YEAR_2000, YEAR_2040)
    assert failure.cause is Cause.HOST_KEY_UNKNOWN
    assert failure.certificate_validity == validity
    assert failure.hint.startswith("check the clock of this machine")
    expected = "it expired at 2040-01-01" if now == YEAR_2040 else "not valid before 2000-01-01"
    assert expected in failure.message


async def test_a_certificate_that_expires_does_not_end_a_connection(tmp_path: Path) -> None:
    authority, key = new_key(), new_key()
    certificate = authority.generate_host_certificate(key, "host", valid_before=YEAR_2040)
    now = YEAR_2000
    async with serve(tmp_path, server_host_keys=[key], server_host_certs=[certificate]) as server:
        server.known_hosts.unlink()
        server.add_known_host_key(authority, "@cert-authority")
        context = SshContext(wall_time=lambda: now)
        connection = await connect_hop(server.host(), None, context, ProgressRecorder())
        now = YEAR_2040

        # A key exchange calls this each time.
        validated = connection.transport.validate_server_host_key(certificate.public_data)

        assert validated.public_data == key.public_data
        await connection.close()


async def test_without_a_known_ca_key_the_plain_key_counts(tmp_path: Path) -> None:
    async with serve(tmp_path, certified_by=new_key()) as server:
        server.add_known_host_key(server.host_key)
        async with connected(server.host()):
            assert server.logins == ["me"]


async def test_a_server_with_only_a_certificate_is_accepted_by_its_plain_key(
    tmp_path: Path,
) -> None:
    async with serve(tmp_path, certified_by=new_key()) as server:
        server.add_known_host_key(server.host_key)
        only = "ssh-ed25519-cert-v01@openssh.com"
        async with connected(server.host(host_key_algorithms=only)):
            assert server.logins == ["me"]


async def test_accept_new_saves_the_plain_key_of_a_bad_certificate(tmp_path: Path) -> None:
    async with serve(tmp_path, certified_by=new_key()) as server:
        server.add_known_host_key(new_key(), "@cert-authority")
        async with connected(server.host(host_key_policy="accept-new")):
            assert server.logins == ["me"]

        lines = server.known_hosts.read_text().splitlines()
        assert lines[1:] == [f"[127.0.0.1]:{server.port} {public(server.host_key)}"]


async def test_a_certificate_with_an_invalid_signature_is_refused(tmp_path: Path) -> None:
    authority, key = new_key(), new_key()
    certificate = authority.generate_host_certificate(key, "host")
    forged = bytearray(certificate.public_data)
    forged[-1] ^= 1
    certificate.public_data = bytes(forged)
    async with serve(tmp_path, server_host_keys=[key], server_host_certs=[certificate]) as server:
        server.known_hosts.unlink()
        server.add_known_host_key(authority, "@cert-authority")
        server.add_known_host_key(key)

        failure = await failure_of(server.host())

    assert failure.cause is Cause.KEY_EXCHANGE
    assert "the signature of the certificate is invalid" in failure.message
    assert server.logins == []
