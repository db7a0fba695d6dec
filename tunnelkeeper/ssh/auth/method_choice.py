"""The part of a client's connection that chooses the login methods, in ssh's order.

asyncssh repeats and ends methods by rules of its own, and answers keyboard-interactive with the
password by itself. It overrides private parts of asyncssh and rests on asyncssh 2.24.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.auth import lookup_client_auth

from tunnelkeeper.core.login_methods import PUBLICKEY, MethodOrder
from tunnelkeeper.ssh.auth.login_failure import ServerReplies
from tunnelkeeper.ssh.auth.login_replies import tolerate_key_type_names
from tunnelkeeper.ssh.auth.password_methods import SECRET_METHODS

if TYPE_CHECKING:
    from tunnelkeeper.ssh.auth.login_answers import LoginAnswers

_FIRST = "none"
"""The method that asks the server for the others, or needs none (RFC 4252 section 5.2)."""


class MethodChoiceMixin:
    """Chooses what a login tries next.

    Attributes:
        login_replies: What the server answered to the requests of the login.
        methods: The order of the methods.
        answers: The answers of this login. Without them only keys are used.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.login_replies = ServerReplies()
        self.methods = MethodOrder((PUBLICKEY,))
        self.answers: LoginAnswers | None = None
        self._has_begun_login = False

    def try_next_auth(self, *, next_method: bool = False) -> None:
        """Continue the login. next_method: the current method has nothing left to offer."""
        connection: Any = self
        if connection._auth is not None:  # noqa: SLF001
            connection._auth.cancel()  # noqa: SLF001
            connection._auth = None  # noqa: SLF001
        if next_method:
            self.methods.disable(self.methods.current)
        name = _FIRST
        if self._has_begun_login:
            name = self.methods.next(self.login_replies.methods)
        self._has_begun_login = True
        if not name:
            connection._force_close(asyncssh.PermissionDenied("no method is left"))  # noqa: SLF001
            return
        if name in SECRET_METHODS:
            connection._auth = SECRET_METHODS[name](connection, name.encode("ascii"))  # noqa: SLF001
            return
        connection._auth = lookup_client_auth(connection, name.encode("ascii"))  # noqa: SLF001
        tolerate_key_type_names(connection._auth)  # noqa: SLF001
