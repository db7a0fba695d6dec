"""The table of directives is complete: it has the keywords of Debian's ssh and of OpenSSH."""

from __future__ import annotations

import subprocess

import pytest

from docs import directives
from tests.requirements import require
from tunnelkeeper.core.ssh_directives import (
    ALIASES,
    DIRECTIVES,
    IGNORED_BY_SSH,
    Support,
    canonical_keyword,
)

OPENSSH_10_5 = """
    AFSTokenPassing AddKeysToAgent AddressFamily BatchMode BindAddress BindInterface
    CASignatureAlgorithms CanonicalDomains CanonicalizeFallbackLocal CanonicalizeHostname
    CanonicalizeMaxDots CanonicalizePermittedCNAMEs CertificateFile ChallengeResponseAuthentication
    ChannelTimeout CheckHostIP Cipher Ciphers ClearAllForwardings Compression CompressionLevel
    ConnectTimeout ConnectionAttempts ControlMaster ControlPath ControlPersist DSAAuthentication
    DynamicForward EnableEscapeCommandline EnableSSHKeysign EscapeChar ExitOnForwardFailure
    FallBackToRsh FingerprintHash ForkAfterAuthentication ForwardAgent ForwardX11 ForwardX11Timeout
    ForwardX11Trusted GSSAPIAuthentication GSSAPIDelegateCredentials GatewayPorts
    GlobalKnownHostsFile GlobalKnownHostsFile2 HashKnownHosts Host HostKeyAlgorithms HostKeyAlias
    HostbasedAcceptedAlgorithms HostbasedAuthentication HostbasedKeyTypes Hostname IPQoS
    IdentitiesOnly IdentityAgent IdentityFile IdentityFile2 IgnoreUnknown Include
    KbdInteractiveAuthentication KbdInteractiveDevices KeepAlive KerberosAuthentication
    KerberosTgtPassing KexAlgorithms KnownHostsCommand LocalCommand LocalForward LogLevel LogVerbose
    MACs Match NoHostAuthenticationForLocalhost NumberOfPasswordPrompts ObscureKeystrokeTiming
    PKCS11Provider PasswordAuthentication PermitLocalCommand PermitRemoteOpen Port
    PreferredAuthentications Protocol ProxyCommand ProxyJump ProxyUseFdpass PubkeyAcceptedAlgorithms
    PubkeyAcceptedKeyTypes PubkeyAuthentication RSAAuthentication RefuseConnection RekeyLimit
    RemoteCommand RemoteForward RequestTTY RequiredRSASize RevokedHostKeys RhostsAuthentication
    RhostsRSAAuthentication SecurityKeyProvider SendEnv ServerAliveCountMax ServerAliveInterval
    SessionType SetEnv SkeyAuthentication SmartcardDevice StdinNull StreamLocalBindMask
    StreamLocalBindUnlink StrictHostKeyChecking SyslogFacility TCPKeepAlive TISAuthentication Tag
    Tunnel TunnelDevice UpdateHostKeys UsePrivilegedPort UseRoaming UseRsh User UserKnownHostsFile
    UserKnownHostsFile2 VerifyHostKeyDNS VersionAddendum VisualHostKey WarnWeakCrypto XAuthLocation
"""
"""The keywords that readconf.c of OpenSSH 10.5 accepts."""

DEBIAN_9_2 = """
    AddKeysToAgent AddressFamily BatchMode BindAddress BindInterface CASignatureAlgorithms
    CanonicalDomains CanonicalizeFallbackLocal CanonicalizeHostname CanonicalizeMaxDots
    CanonicalizePermittedCNAMEs CertificateFile CheckHostIP Ciphers ClearAllForwardings Compression
    ConnectTimeout ConnectionAttempts ControlMaster ControlPath ControlPersist DynamicForward
    EnableEscapeCommandline EnableSSHKeysign EscapeChar ExitOnForwardFailure FingerprintHash
    ForkAfterAuthentication ForwardAgent ForwardX11 ForwardX11Timeout ForwardX11Trusted
    GSSAPIAuthentication GSSAPIClientIdentity GSSAPIDelegateCredentials GSSAPIKexAlgorithms
    GSSAPIKeyExchange GSSAPIRenewalForcesRekey GSSAPIServerIdentity GSSAPITrustDns GatewayPorts
    GlobalKnownHostsFile HashKnownHosts Host HostKeyAlgorithms HostKeyAlias
    HostbasedAcceptedAlgorithms HostbasedAuthentication Hostname IPQoS IdentitiesOnly IdentityAgent
    IdentityFile IgnoreUnknown Include KbdInteractiveAuthentication KbdInteractiveDevices
    KexAlgorithms KnownHostsCommand LocalCommand LocalForward LogLevel LogVerbose MACs Match
    NoHostAuthenticationForLocalhost NumberOfPasswordPrompts PKCS11Provider PasswordAuthentication
    PermitLocalCommand PermitRemoteOpen Port PreferredAuthentications ProxyCommand ProxyJump
    ProxyUseFdpass PubkeyAcceptedAlgorithms PubkeyAuthentication RekeyLimit RemoteCommand
    RemoteForward RequestTTY RequiredRSASize RevokedHostKeys SecurityKeyProvider SendEnv
    ServerAliveCountMax ServerAliveInterval SessionType SetEnv StdinNull StreamLocalBindMask
    StreamLocalBindUnlink StrictHostKeyChecking SyslogFacility TCPKeepAlive Tunnel TunnelDevice
    UpdateHostKeys User UserKnownHostsFile VerifyHostKeyDNS VisualHostKey XAuthLocation
"""
"""The keywords of ssh_config(5) in Debian 12 (OpenSSH 9.2p1 with Debian's patches)."""


def in_lower_case(names: str) -> set[str]:
    return {name.lower() for name in names.split()}


def test_the_table_has_every_keyword_of_ssh_and_no_other() -> None:
    known = [*DIRECTIVES, *ALIASES, *IGNORED_BY_SSH]

    assert len({name.lower() for name in known}) == len(known)
    assert {name.lower() for name in known} == in_lower_case(OPENSSH_10_5 + DEBIAN_9_2)
    assert in_lower_case(DEBIAN_9_2) <= {name.lower() for name in DIRECTIVES}


def test_the_installed_ssh_prints_no_other_keyword() -> None:
    command = [require("ssh"), "-F", "none", "-G", "host"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    printed = {line.split()[0].lower() for line in lines}

    assert printed <= {name.lower() for name in DIRECTIVES}


@pytest.mark.parametrize("alias", ALIASES)
def test_ssh_knows_the_earlier_names(alias: str) -> None:
    command = [require("ssh"), "-F", "none", "-G", "-o", f"{alias}=no", "host"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert "Bad configuration option" not in done.stderr


def test_the_page_has_the_table_of_the_code() -> None:
    page = directives.PAGE.read_text()

    assert directives.with_tables(page) == page, "run: python -m docs.directives --write"


def test_the_table_is_in_alphabetical_order() -> None:
    assert list(DIRECTIVES) == sorted(DIRECTIVES, key=str.lower)
    assert list(ALIASES) == sorted(ALIASES)
    assert list(IGNORED_BY_SSH) == sorted(IGNORED_BY_SSH, key=str.lower)


def test_a_refused_directive_has_values_without_an_effect() -> None:
    for name, directive in DIRECTIVES.items():
        assert directive.effect, name
        if directive.support is Support.REFUSED:
            assert directive.inert is not None, name


@pytest.mark.parametrize(
    ("keyword", "expected"),
    [("KeepAlive", "tcpkeepalive"), ("identityfile2", "identityfile"), ("Port", "port")],
)
def test_an_earlier_name_stands_for_the_current_one(keyword: str, expected: str) -> None:
    assert canonical_keyword(keyword) == expected
