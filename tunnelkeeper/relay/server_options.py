"""The options of asyncssh for the relay's connections, and the algorithms that it offers.

asyncssh reads no file of its own. The lists are those of core.algorithms; the client's order
decides which algorithm is used.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import asyncssh

from tunnelkeeper.core.algorithms import SIGNATURES
from tunnelkeeper.ssh.auth.algorithms import relay_algorithms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.relay.config import RelayConfiguration

SOFTWARE = "tunnelkeeper"
"""The name in the version string (RFC 4253 section 4.2)."""


def server_options(
    configuration: RelayConfiguration, host_keys: Sequence[asyncssh.SSHKey]
) -> asyncssh.SSHServerConnectionOptions:
    """Return the options for all connections of a relay."""
    algorithms = relay_algorithms()
    options = asyncssh.SSHServerConnectionOptions(
        config=None,
        server_version=SOFTWARE,
        server_host_keys=list(host_keys),
        kex_algs=algorithms.key_exchanges,
        encryption_algs=algorithms.ciphers,
        mac_algs=algorithms.macs,
        signature_algs=algorithms.signatures,
        compression_algs=None,  # asyncssh does not limit the size of a decompressed packet
        gss_host=None,  # the default resolves this machine's name at every login
        public_key_auth=True,
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        agent_forwarding=False,
        login_timeout=configuration.limits.login_grace,
    )
    # An RSA key would sign with SHA-1 too; asyncssh has no option for these algorithms.
    options.server_host_keys = OrderedDict(
        (name, pair)
        for name, pair in options.server_host_keys.items()
        if name.decode("ascii") in SIGNATURES
    )
    return options
