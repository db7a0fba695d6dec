"""Every type of key, in files and in the agent, with ssh and with tunnelkeeper.

Both are accepted with the same key or certificate, under the same algorithm name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.identity_setup import IdentitySetup, assert_as_ssh

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox


@pytest.mark.parametrize(
    ("kind", "bits"), [("ed25519", 0), ("ecdsa", 256), ("ecdsa", 521), ("rsa", 0)]
)
@pytest.mark.parametrize("certificate", ["none", "beside the key", "CertificateFile"])
@pytest.mark.parametrize("source", ["file", "agent"])
def test_every_type_of_key_logs_in_as_with_ssh(
    sandbox: Sandbox, kind: str, bits: int, certificate: str, source: str
) -> None:
    setup = IdentitySetup(sandbox)
    key = setup.key("key", kind, bits)
    if certificate == "none":
        setup.authorize(key)
    else:
        path = setup.certify(key, "" if certificate == "beside the key" else "apart.pub")
        setup.trust_certificates()
        setup.option(*([f"CertificateFile {path}"] if certificate == "CertificateFile" else []))
    if source == "agent":
        setup.agent.add(key)
        key.unlink()
    setup.identities(key)

    by_ssh, by_tunnelkeeper = assert_as_ssh(setup, key)

    assert by_tunnelkeeper.algorithms == by_ssh.algorithms


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
@pytest.mark.parametrize("certificate", ["none", "CertificateFile"])
def test_a_security_key_in_the_agent_logs_in_as_with_ssh(
    sandbox: Sandbox, kind: str, certificate: str
) -> None:
    setup = IdentitySetup(sandbox)
    key = setup.security_key("key", kind)
    if certificate == "none":
        setup.authorize(key)
    else:
        setup.option(f"CertificateFile {setup.certify(key, 'apart.pub')}")
        setup.trust_certificates()
    setup.identities(key)

    by_ssh, by_tunnelkeeper = assert_as_ssh(setup, key)

    assert by_tunnelkeeper.algorithms == by_ssh.algorithms
