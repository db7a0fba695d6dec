"""The client side of asyncssh: hosts, logins, connections and channels."""

from tunnelkeeper.ssh.library_search import without_subprocesses

with without_subprocesses():
    import asyncssh as _asyncssh  # noqa: F401 - the first import searches for shared libraries
