"""The relay: an SSH server that forwards and does nothing else, for boxes behind NAT."""

import tunnelkeeper.ssh  # noqa: F401 - imports asyncssh without starting programs
