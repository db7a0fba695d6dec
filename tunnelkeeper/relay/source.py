"""Where a relay's configuration comes from: relay.toml, and the command line over it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tunnelkeeper import paths
from tunnelkeeper.relay import config

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.core.forward_spec import TcpAddress
    from tunnelkeeper.relay.config import RelayConfiguration


@dataclass(frozen=True, slots=True)
class Source:
    """path: of relay.toml, absolute. must_exist: whether somebody named it; else the defaults do.

    The others are the command line's, and come first where there are any; files are absolute.
    """

    path: Path
    must_exist: bool = True
    listen: tuple[TcpAddress, ...] = ()
    host_keys: tuple[str, ...] = ()
    authorized_keys: str = ""

    def read(self) -> RelayConfiguration:
        """The configuration as it is now; its files are absolute.

        Raises ConfigError.
        """
        if self.must_exist or self.path.exists():
            read = config.load(self.path)
        else:
            read = config.parse("", str(self.path))
        return replace(
            read,
            listen=self.listen or read.listen,
            host_keys=self.host_keys or tuple(map(self._absolute, read.host_keys)),
            authorized_keys=self.authorized_keys or self._absolute(read.authorized_keys),
        )

    def _absolute(self, written: str) -> str:
        return str(self.path.parent / paths.expanded(written, os.environ))
