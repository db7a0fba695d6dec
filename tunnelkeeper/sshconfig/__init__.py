"""Host lookup in ssh_config with `ssh -G`. The results are core.configuration.Host values.

    lookup_request          requests, answers and SshConfigError
    ssh_g                   runs `ssh -G`
    trusted_query           refuses files that another user could have written
    ssh_g_output            parses its output
    query_cache             shares one run between equal requests
    config_files            the files that ssh reads, to notice when one changes
    tokens                  expands %h, ~ and ${ENV}
    local_facts             this machine and its user
    directives_in_effect    directives that are not honoured: named or refused
    resolve                 one host: config file > ssh_config > built-in default
    deviations              what tunnelkeeper does not follow, in sentences
    lookup                  chains of hosts, jump hosts first

This package neither connects nor imports asyncssh. If ssh cannot run,
tunnelkeeper.ssh.ssh_config_fallback reads the files instead.
"""

from tunnelkeeper.sshconfig.directives_in_effect import find_ignored
from tunnelkeeper.sshconfig.local_facts import Facts, gather_facts
from tunnelkeeper.sshconfig.lookup import HostLookup, source_for
from tunnelkeeper.sshconfig.lookup_request import Answer, Query, Request, SshConfigError
from tunnelkeeper.sshconfig.ssh_g import SshQuery, obstacle_to_ssh
from tunnelkeeper.sshconfig.trusted_query import TrustedQuery

__all__ = [
    "Answer",
    "Facts",
    "HostLookup",
    "Query",
    "Request",
    "SshConfigError",
    "SshQuery",
    "TrustedQuery",
    "find_ignored",
    "gather_facts",
    "obstacle_to_ssh",
    "source_for",
]
