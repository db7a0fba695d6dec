"""The options of asyncssh for a connection to a host. asyncssh reads no file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh

from tunnelkeeper.core.ssh_values import RekeyLimit
from tunnelkeeper.ssh.auth import algorithms

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.ssh.auth.host_key_verifier import HostKeyVerifier
    from tunnelkeeper.ssh.client_callbacks import ClientCallbacks


def client_options(
    host: Host, port: int, verifier: HostKeyVerifier, callbacks: ClientCallbacks
) -> asyncssh.SSHClientConnectionOptions:
    """Return options that keep asyncssh from reading files and the environment itself."""
    return asyncssh.SSHClientConnectionOptions(
        config=None,
        client_factory=lambda: callbacks,
        host=host.hostname,
        port=port,
        username=host.user,
        known_hosts=lambda *_: ([], [], []),  # HostKeyVerifier decides
        host_key_alias=host.host_key_alias,
        server_host_key_algs=algorithms.host_key_algorithms(
            host, verifier.known_types, prefer_certificates=verifier.has_ca_keys
        ),
        encryption_algs=algorithms.ciphers(host),
        mac_algs=algorithms.macs(host),
        kex_algs=algorithms.key_exchanges(host),
        signature_algs=algorithms.signature_algorithms(host),
        compression_algs=["zlib@openssh.com", "none"] if host.compression else ["none"],
        tcp_keepalive=host.tcp_keepalive,
        **_rekey_options(host.rekey_limit),
        login_timeout=0,  # the attempt has its own deadline
        keepalive_interval=0,  # the connection has its own KeepaliveMonitor
        client_keys=None,  # the callbacks offer them one by one
        public_key_auth=True,
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        x509_trusted_certs=None,
        x509_trusted_cert_paths=[],
        agent_path=None,
    )


def _rekey_options(limit: RekeyLimit) -> dict[str, int]:
    """Return asyncssh's options. Its defaults are 1 GiB and one hour."""
    if limit == RekeyLimit():
        return {}
    size = {"rekey_bytes": limit.size} if limit.size else {}
    return {**size, "rekey_seconds": limit.seconds}
