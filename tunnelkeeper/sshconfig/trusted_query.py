"""Refusal of ssh_config files that another user could have written: `Match exec` runs programs.

ssh makes this check of ~/.ssh/config and of included files, but not of the file of -F. Only the
user's own command line may name such a file unchecked.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from tunnelkeeper.net.file_trust import find_distrust
from tunnelkeeper.net.thread_executor import READ_TIMEOUT
from tunnelkeeper.sshconfig.config_files import find_config_files
from tunnelkeeper.sshconfig.lookup_request import SshConfigError

if TYPE_CHECKING:
    from tunnelkeeper.net.file_trust import Distrust
    from tunnelkeeper.sshconfig.local_facts import Facts
    from tunnelkeeper.sshconfig.lookup_request import Answer, Query, Request

HINT = "change its owner or mode, or name a file of your own"


class TrustedQuery:
    """A query that first checks a named file, and the files that it includes.

    Requests that come during a check share it: a thousand tunnels that start need one thread.
    hint: what to do about a file that is refused.
    """

    def __init__(self, query: Query, facts: Facts, hint: str = HINT) -> None:
        self._query = query
        self._facts = facts
        self._hint = hint
        self._checks: dict[str, asyncio.Future[Distrust | None]] = {}

    async def __call__(self, request: Request) -> Answer:
        """Return the answer of the wrapped query.

        Raises SshConfigError for a file that belongs neither to this user nor to root, and what
        the wrapped query raises.
        """
        source = request.source
        if isinstance(source, str):
            distrust = await self._check(source)
            if distrust is not None:
                raise SshConfigError(f"{distrust}, and ssh_config can run programs", self._hint)
        return await self._query(request)

    async def _check(self, source: str) -> Distrust | None:
        check = self._checks.get(source)
        if check is None or check.done():
            loop = asyncio.get_running_loop()
            check = loop.run_in_executor(None, self._find_distrust, source)
            self._checks[source] = check
        # Unlike awaiting the future, this does not cancel it if this caller is cancelled.
        await asyncio.wait({check}, timeout=READ_TIMEOUT)
        if not check.done():
            message = f"{source}: not read within {READ_TIMEOUT:g} s; its file system may hang"
            raise SshConfigError(message, temporary=True)
        try:
            return check.result()
        except OSError as error:
            raise SshConfigError(f"{source}: {error.strerror}", temporary=True) from None

    def _find_distrust(self, source: str) -> Distrust | None:
        for path in find_config_files(source, self._facts):
            if not os.path.exists(path):  # noqa: PTH110  missing, or a pattern of Include
                continue
            distrust = find_distrust(path)
            if distrust is not None:
                return distrust
        return None
