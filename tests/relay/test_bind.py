"""Why a listener of a client could not be bound."""

from __future__ import annotations

import errno
import os
from typing import NoReturn

import pytest

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.relay import bind


@pytest.mark.parametrize(
    ("number", "reason", "text"),
    [
        (errno.EACCES, Reason.NOT_PERMITTED, "Permission denied"),
        (errno.EPERM, Reason.NOT_PERMITTED, "Operation not permitted"),
        (errno.EADDRINUSE, Reason.FAILED, "Address already in use"),
    ],
)
async def test_what_the_system_forbids_is_not_reported_as_in_use(
    number: int, reason: Reason, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_host: str, _port: int) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(bind, "_probe", refuse)
    with pytest.raises(ConnectError, match=f"cannot listen on localhost:80: {text}") as refused:
        await bind.bind(TcpAddress("localhost", 80), lambda _: None)

    assert refused.value.reason is reason
