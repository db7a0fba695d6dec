"""Looks hosts up in ssh_config the way ssh does it, and makes core.tunnels.Host values of them.

    request   what is asked, of whom, and the error
    query     asks `ssh -G`                          output    reads its answer
    sharing   one run for those who ask the same     tokens    expands %h, ~ and ${ENV}
    facts     this machine and its user              support   names what cannot be honoured
    resolve   one host: file > ssh_config > built-in
    lookup    whole chains, jump hosts first

Nothing here connects or imports asyncssh; where no ssh is installed, tunnelkeeper.ssh has a query
that reads the files itself.
"""

from tunnelkeeper.sshconfig.facts import Facts, local_facts
from tunnelkeeper.sshconfig.lookup import HostLookup, source_for
from tunnelkeeper.sshconfig.query import SshQuery, ssh_is_installed
from tunnelkeeper.sshconfig.request import Answer, Query, Request, SshConfigError
from tunnelkeeper.sshconfig.support import unsupported

__all__ = [
    "Answer",
    "Facts",
    "HostLookup",
    "Query",
    "Request",
    "SshConfigError",
    "SshQuery",
    "local_facts",
    "source_for",
    "ssh_is_installed",
    "unsupported",
]
