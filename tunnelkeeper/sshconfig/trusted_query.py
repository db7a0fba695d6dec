"""Refusal of ssh_config files that another user could have written: `Match exec` runs programs.

ssh makes this check of ~/.ssh/config and of included files, but not of the file of -F. Only the
user's own command line may name such a file unchecked.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tunnelkeeper.net.file_trust import find_distrust
from tunnelkeeper.net.thread_executor import SerialExecutor
from tunnelkeeper.sshconfig.config_files import find_config_files
from tunnelkeeper.sshconfig.lookup_request import SshConfigError

if TYPE_CHECKING:
    from tunnelkeeper.net.file_trust import Distrust
    from tunnelkeeper.sshconfig.local_facts import Facts
    from tunnelkeeper.sshconfig.lookup_request import Answer, Query, Request

HINT = "change its owner or mode, or name a file of your own"


class TrustedQuery:
    """A query that first checks a named file, and the files that it includes, for each request.

    hint: what to do about a file that is refused.
    """

    def __init__(self, query: Query, facts: Facts, hint: str = HINT) -> None:
        self._query = query
        self._facts = facts
        self._hint = hint
        self._executor = SerialExecutor()

    async def __call__(self, request: Request) -> Answer:
        """Return the answer of the wrapped query.

        Raises SshConfigError for a file that belongs neither to this user nor to root, and what
        the wrapped query raises.
        """
        source = request.source
        if isinstance(source, str):
            try:
                distrust = await self._executor.read(source, lambda: self._find_distrust(source))
            except OSError as error:
                raise SshConfigError(f"{source}: {error.strerror}", temporary=True) from None
            if distrust is not None:
                raise SshConfigError(f"{distrust}, and ssh_config can run programs", self._hint)
        return await self._query(request)

    def _find_distrust(self, source: str) -> Distrust | None:
        for path in find_config_files(source, self._facts):
            if not os.path.exists(path):  # noqa: PTH110  missing, or a pattern of Include
                continue
            distrust = find_distrust(path)
            if distrust is not None:
                return distrust
        return None
