"""Credentials of units: their lines, and what a unit file cannot contain."""

from __future__ import annotations

import pytest

from tunnelkeeper.systemd.quoting import UnquotableError
from tunnelkeeper.systemd.unit_templates import (
    DEFAULT_PROGRAM,
    Credential,
    UnitKind,
    UnitOptions,
    unit_files,
)


@pytest.mark.parametrize(
    ("credential", "line"),
    [
        (Credential("password-db"), "LoadCredential=password-db"),
        (Credential("a", "/my file%"), "LoadCredential=a:/my file%%"),
        (Credential("a=3A", "/f", is_encrypted=True), "LoadCredentialEncrypted=a=3A:/f"),
    ],
)
def test_a_credential_is_a_line_of_the_service(credential: Credential, line: str) -> None:
    options = UnitOptions(DEFAULT_PROGRAM, credentials=(credential,))
    for kind, expected in ((UnitKind.SUPERVISOR, 1), (UnitKind.TUNNEL, 1), (UnitKind.RELAY, 0)):
        text = next(iter(unit_files(kind, options).values()))
        assert text.splitlines().count(line) == expected


@pytest.mark.parametrize(
    "credential",
    [
        Credential(""),
        Credential("a b"),
        Credential("a/b"),
        Credential("a", "relative"),
        Credential("a", "/x:y"),
        Credential("a", "/x\ny"),
        Credential("a", '/x"y'),
    ],
)
def test_what_systemd_would_read_in_another_way_is_refused(credential: Credential) -> None:
    with pytest.raises(UnquotableError):
        _ = credential.line
