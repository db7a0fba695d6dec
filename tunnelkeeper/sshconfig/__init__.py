"""Host lookup in ssh_config, as ssh does it. The results are core.configuration.Host values.

    request   what is asked, of whom, and the error
    query     asks `ssh -G`                          output    reads its answer
    sharing   one run for those who ask the same     tokens    expands %h, ~ and ${ENV}
    facts     this machine and its user              support   names what cannot be honoured
    resolve   one host: file > ssh_config > built-in
    lookup    whole chains, jump hosts first

Nothing here connects or imports asyncssh; where no ssh is installed, tunnelkeeper.ssh has a query
that reads the files itself.
"""

from tunnelkeeper.sshconfig.local_facts import Facts, gather_facts
from tunnelkeeper.sshconfig.lookup import HostLookup, source_for
from tunnelkeeper.sshconfig.lookup_request import Answer, Query, Request, SshConfigError
from tunnelkeeper.sshconfig.ssh_g import SshQuery, ssh_is_installed
from tunnelkeeper.sshconfig.unsupported_directives import find_unsupported

__all__ = [
    "Answer",
    "Facts",
    "HostLookup",
    "Query",
    "Request",
    "SshConfigError",
    "SshQuery",
    "find_unsupported",
    "gather_facts",
    "source_for",
    "ssh_is_installed",
]
