import pytest

from tunnelkeeper.sshconfig import find_unsupported
from tunnelkeeper.sshconfig.ssh_g_output import parse_output
from tunnelkeeper.sshconfig.unsupported_directives import UNSUPPORTED


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("bindinterface eth0", "BindInterface"),
        ("dynamicforward 1080", "DynamicForward"),
        ("gatewayports yes", "GatewayPorts"),
        ("hostbasedauthentication yes", "HostbasedAuthentication"),
        ("knownhostscommand /bin/keys %H", "KnownHostsCommand"),
        ("localforward 8080 [localhost]:80", "LocalForward"),
        ("nohostauthenticationforlocalhost yes", "NoHostAuthenticationForLocalhost"),
        ("pkcs11provider /usr/lib/p11.so", "PKCS11Provider"),
        ("preferredauthentications password,keyboard-interactive", "PreferredAuthentications"),
        ("pubkeyauthentication false", "PubkeyAuthentication"),
        ("rekeylimit 1073741824 3600", "RekeyLimit"),
        ("remoteforward 8080 [socks]:0", "RemoteForward"),
        ("securitykeyprovider /usr/lib/sk.so", "SecurityKeyProvider"),
        ("tunnel point-to-point", "Tunnel"),
        ("verifyhostkeydns ask", "VerifyHostKeyDNS"),
        ("permitlocalcommand yes\nlocalcommand echo", "LocalCommand"),
        ("proxyusefdpass yes\nproxycommand nc %h", "ProxyUseFdpass"),
    ],
)
def test_a_directive_with_an_effect_is_listed(line: str, named: str) -> None:
    assert find_unsupported(parse_output(line)) == [named]


@pytest.mark.parametrize(
    "lines",
    [
        "gssapiauthentication yes\nsendenv LANG\nsendenv LC_*\nhashknownhosts yes",
        "requiredrsasize 2048\ncasignaturealgorithms ssh-ed25519\nforwardx11trusted yes",
        "controlmaster auto\ncontrolpath /run/x\ncontrolpersist 60\nforwardagent yes",
        "exitonforwardfailure yes\nconnectionattempts 3\naddkeystoagent true",
        "permitlocalcommand no\nlocalcommand echo",
        "permitlocalcommand yes",
        "proxyusefdpass yes",
        "preferredauthentications publickey",
        "pubkeyauthentication true\nrekeylimit 0 0",
        "securitykeyprovider internal\ntunnel false\nverifyhostkeydns false",
        "bindinterface none\nknownhostscommand none",
        "remotecommand ls\nrequesttty yes",
    ],
)
def test_a_directive_without_effect_or_set_by_distributions_is_not_listed(lines: str) -> None:
    assert find_unsupported(parse_output(lines)) == []


def test_names_are_unique_and_in_alphabetical_order() -> None:
    text = "tunnel yes\nlocalforward 1 [a]:1\nlocalforward 2 [a]:2\nbindinterface eth0"

    assert find_unsupported(parse_output(text)) == ["BindInterface", "LocalForward", "Tunnel"]


def test_the_table_is_in_alphabetical_order() -> None:
    assert list(UNSUPPORTED) == sorted(UNSUPPORTED, key=str.lower)
