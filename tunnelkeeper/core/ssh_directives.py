"""Every keyword of ssh_config(5), and what tunnelkeeper does with it. It reads no file.

The table has the keywords of OpenSSH 10.5 and those that Debian adds (GSSAPI). The table of
docs/ssh-config.md is made from it, and a test compares it with the keywords of ssh.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Support(StrEnum):
    """What happens with a directive.

    HONOURED: it works as in ssh. HARMLESS: it is not used, and nothing that it forbids happens.
    REFUSED: it forbids something, and is not supported, so the host is not connected to.
    """

    HONOURED = "honoured"
    HARMLESS = "harmless"
    REFUSED = "refused"


class Directive(Struct, frozen=True):
    """One keyword. effect: what it does here.

    inert: the values, in lower case, without an effect in ssh. With another value, `check` names a
    harmless directive, and a refused one blocks the tunnel. None: `check` does not name it.
    """

    support: Support
    effect: str
    inert: frozenset[str] | None = None

    @property
    def is_named(self) -> bool:
        """Whether `check` warns about it if it is in effect."""
        return self.support is Support.HARMLESS and self.inert is not None


OFF = frozenset({"no", "false"})
UNSET = frozenset({"none", ""})


def _honoured(effect: str = "as in ssh") -> Directive:
    return Directive(Support.HONOURED, effect)


def _key(name: str, more: str = "") -> Directive:
    """Return a directive that a key of the config file overrides."""
    return _honoured(f"as in ssh; the key `{name}` overrides it{more}")


def _harmless(effect: str, inert: frozenset[str] | None = None) -> Directive:
    return Directive(Support.HARMLESS, effect, inert)


def _refused(effect: str, inert: frozenset[str]) -> Directive:
    return Directive(Support.REFUSED, effect, inert)


_FORWARDS = "forwards of tunnels are in tunnels.toml. On an autossh line as in ssh"
_NO_GSSAPI = "GSSAPI is not used"
_NO_HOSTBASED = "host-based logins are not supported"
_NO_SESSION = "a tunnel runs nothing on the server. On an autossh line as in ssh"
_NO_SHARING = "connections are not shared with ssh"
_NO_X11 = "X11 is not forwarded"
_OWN_LOG = "the log has its own settings"

DIRECTIVES = {
    "AddKeysToAgent": _key("add_keys_to_agent"),
    "AddressFamily": _key("address_family"),
    "BatchMode": _key("batch_mode", "; answers that are stored are used"),
    "BindAddress": _key("bind_address"),
    "BindInterface": _key("bind_interface"),
    "CanonicalDomains": _honoured(),
    "CanonicalizeFallbackLocal": _honoured(),
    "CanonicalizeHostname": _honoured("as in ssh; needs ssh installed"),
    "CanonicalizeMaxDots": _honoured(),
    "CanonicalizePermittedCNAMEs": _honoured(),
    "CASignatureAlgorithms": _key("ca_signature_algorithms"),
    "CertificateFile": _key("certificate_files"),
    "ChannelTimeout": _key("channel_timeout"),
    "CheckHostIP": _key("check_host_ip"),
    "Ciphers": _key("ciphers"),
    "ClearAllForwardings": _honoured(
        "a tunnel with forwards is blocked, since it forbids them. On an autossh line as in ssh"
    ),
    "Compression": _key("compression"),
    "ConnectionAttempts": _harmless("attempts continue; see `max_attempts`"),
    "ConnectTimeout": _key("connect_timeout"),
    "ControlMaster": _harmless(_NO_SHARING),
    "ControlPath": _harmless(_NO_SHARING),
    "ControlPersist": _harmless(_NO_SHARING),
    "DynamicForward": _harmless(_FORWARDS, UNSET),
    "EnableEscapeCommandline": _harmless("there are no escape characters"),
    "EnableSSHKeysign": _harmless(_NO_HOSTBASED),
    "EscapeChar": _harmless("there are no escape characters"),
    "ExitOnForwardFailure": _harmless(
        "the key `exit_on_forward_failure` decides. On an autossh line as in ssh"
    ),
    "FingerprintHash": _harmless("fingerprints are SHA256"),
    "ForkAfterAuthentication": _harmless("see `up --detach` and autossh's `-f`"),
    "ForwardAgent": _harmless("no agent is forwarded. On an autossh line as in ssh"),
    "ForwardX11": _harmless(_NO_X11),
    "ForwardX11Timeout": _harmless(_NO_X11),
    "ForwardX11Trusted": _harmless(_NO_X11),
    "GatewayPorts": _harmless(
        "a forward without a bind address listens on the loopback. On an autossh line as in ssh",
        OFF,
    ),
    "GlobalKnownHostsFile": _key("system_known_hosts"),
    "GSSAPIAuthentication": _harmless(_NO_GSSAPI),
    "GSSAPIClientIdentity": _harmless(_NO_GSSAPI),
    "GSSAPIDelegateCredentials": _harmless(_NO_GSSAPI),
    "GSSAPIKexAlgorithms": _harmless(_NO_GSSAPI),
    "GSSAPIKeyExchange": _harmless(f"{_NO_GSSAPI}; the host key must be known", OFF),
    "GSSAPIRenewalForcesRekey": _harmless(_NO_GSSAPI),
    "GSSAPIServerIdentity": _harmless(_NO_GSSAPI),
    "GSSAPITrustDns": _harmless(_NO_GSSAPI),
    "HashKnownHosts": _key("hash_known_hosts"),
    "Host": _honoured(),
    "HostbasedAcceptedAlgorithms": _harmless(_NO_HOSTBASED),
    "HostbasedAuthentication": _harmless(_NO_HOSTBASED, OFF),
    "HostKeyAlgorithms": _key("host_key_algorithms"),
    "HostKeyAlias": _key("host_key_alias"),
    "Hostname": _key("hostname"),
    "IdentitiesOnly": _key("identities_only"),
    "IdentityAgent": _key("identity_agent"),
    "IdentityFile": _key("identity_files"),
    "IgnoreUnknown": _honoured(),
    "Include": _honoured(),
    "IPQoS": _key("ip_qos", "; ssh's default is not used"),
    "KbdInteractiveAuthentication": _key("kbd_interactive_authentication"),
    "KbdInteractiveDevices": _harmless("the server chooses the devices"),
    "KexAlgorithms": _key("kex_algorithms"),
    "KnownHostsCommand": _key("known_hosts_command"),
    "LocalCommand": _harmless("use the hook `on_up`", UNSET),
    "LocalForward": _harmless(_FORWARDS, UNSET),
    "LogLevel": _harmless(_OWN_LOG),
    "LogVerbose": _harmless(_OWN_LOG),
    "MACs": _key("macs", "; the default has no SHA-1"),
    "Match": _honoured(),
    "NoHostAuthenticationForLocalhost": _honoured(),
    "NumberOfPasswordPrompts": _key("number_of_password_prompts"),
    "ObscureKeystrokeTiming": _harmless(
        "a tunnel sends no keystrokes. The terminal of an autossh line sends them at once"
    ),
    "PasswordAuthentication": _key("password_authentication"),
    "PermitLocalCommand": _harmless("see LocalCommand"),
    "PermitRemoteOpen": _key("permit_remote_open"),
    "PKCS11Provider": _harmless("such keys are used through an agent only", UNSET),
    "Port": _key("port"),
    "PreferredAuthentications": _key(
        "preferred_authentications", "; the tunnel is blocked if no supported method is left"
    ),
    "ProxyCommand": _key("proxy_command"),
    "ProxyJump": _key("jump"),
    "ProxyUseFdpass": _refused("a command that passes a descriptor is not supported", OFF),
    "PubkeyAcceptedAlgorithms": _key("pubkey_accepted_algorithms"),
    "PubkeyAuthentication": _key("pubkey_authentication"),
    "RefuseConnection": _honoured("the tunnel is blocked, with the message"),
    "RekeyLimit": _key("rekey_limit"),
    "RemoteCommand": _harmless(_NO_SESSION),
    "RemoteForward": _harmless(_FORWARDS, UNSET),
    "RequestTTY": _harmless(_NO_SESSION),
    "RequiredRSASize": _key("required_rsa_size"),
    "RevokedHostKeys": _key("revoked_host_keys"),
    "SecurityKeyProvider": _harmless(
        "such keys are used through an agent only",
        UNSET | {"internal", "$ssh_sk_provider"},
    ),
    "SendEnv": _harmless(_NO_SESSION),
    "ServerAliveCountMax": _key("keepalive_count_max"),
    "ServerAliveInterval": _key("keepalive_interval", "; 0 means the default, 15 seconds"),
    "SessionType": _harmless(_NO_SESSION),
    "SetEnv": _harmless(_NO_SESSION),
    "StdinNull": _harmless(_NO_SESSION),
    "StreamLocalBindMask": _key("stream_local_bind_mask"),
    "StreamLocalBindUnlink": _key(
        "stream_local_bind_unlink", "; a stale socket file is always replaced"
    ),
    "StrictHostKeyChecking": _key("host_key_policy", "; `no` is treated as `accept-new`"),
    "SyslogFacility": _harmless(_OWN_LOG),
    "Tag": _key("tag"),
    "TCPKeepAlive": _key("tcp_keepalive"),
    "Tunnel": _harmless("tun(4) devices are not supported", OFF),
    "TunnelDevice": _harmless("tun(4) devices are not supported"),
    "UpdateHostKeys": _key(
        "update_host_keys", "; `ask` of ssh_config means `no`, as with `ssh -N`"
    ),
    "User": _key("user"),
    "UserKnownHostsFile": _key("known_hosts"),
    "VerifyHostKeyDNS": _harmless("SSHFP records are not used; the host key must be known", OFF),
    "VersionAddendum": _harmless("the version has no addendum"),
    "VisualHostKey": _harmless(
        "a question about a host key always has the random art in the dashboard"
    ),
    "WarnWeakCrypto": _honoured("as in ssh; the warning is in the log"),
    "XAuthLocation": _harmless(_NO_X11),
}
"""The keywords of ssh_config(5), in alphabetical order."""

ALIASES = {
    "challengeresponseauthentication": "KbdInteractiveAuthentication",
    "dsaauthentication": "PubkeyAuthentication",
    "hostbasedkeytypes": "HostbasedAcceptedAlgorithms",
    "identityfile2": "IdentityFile",
    "keepalive": "TCPKeepAlive",
    "pubkeyacceptedkeytypes": "PubkeyAcceptedAlgorithms",
    "skeyauthentication": "KbdInteractiveAuthentication",
    "smartcarddevice": "PKCS11Provider",
    "tisauthentication": "KbdInteractiveAuthentication",
}
"""Earlier names of keywords, in lower case, that ssh still reads."""

IGNORED_BY_SSH = (
    "AFSTokenPassing",
    "Cipher",
    "CompressionLevel",
    "FallBackToRsh",
    "GlobalKnownHostsFile2",
    "KerberosAuthentication",
    "KerberosTgtPassing",
    "Protocol",
    "RhostsAuthentication",
    "RhostsRSAAuthentication",
    "RSAAuthentication",
    "UsePrivilegedPort",
    "UserKnownHostsFile2",
    "UseRoaming",
    "UseRsh",
)
"""Keywords that ssh itself accepts and ignores, most of them with a warning."""


def canonical_keyword(keyword: str) -> str:
    """Return the current name of a keyword in lower case."""
    lower = keyword.lower()
    return ALIASES.get(lower, lower).lower()
