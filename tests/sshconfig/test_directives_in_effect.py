import pytest

from tunnelkeeper.sshconfig import find_ignored
from tunnelkeeper.sshconfig.directives_in_effect import reject_refused
from tunnelkeeper.sshconfig.lookup_request import SshConfigError
from tunnelkeeper.sshconfig.ssh_g_output import parse_output


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("dynamicforward 1080", "DynamicForward"),
        ("gatewayports yes", "GatewayPorts"),
        ("hostbasedauthentication yes", "HostbasedAuthentication"),
        ("localforward 8080 [localhost]:80", "LocalForward"),
        ("pkcs11provider /usr/lib/p11.so", "PKCS11Provider"),
        ("remoteforward 8080 [socks]:0", "RemoteForward"),
        ("securitykeyprovider /usr/lib/sk.so", "SecurityKeyProvider"),
        ("tunnel point-to-point", "Tunnel"),
        ("verifyhostkeydns ask", "VerifyHostKeyDNS"),
        ("permitlocalcommand yes\nlocalcommand echo", "LocalCommand"),
    ],
)
def test_a_directive_with_an_effect_is_listed(line: str, named: str) -> None:
    assert find_ignored(parse_output(line)) == [named]


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
        "pubkeyauthentication true",
        "securitykeyprovider internal\ntunnel false\nverifyhostkeydns false",
        "bindinterface none\nknownhostscommand none",
        "remotecommand ls\nrequesttty yes",
    ],
)
def test_a_directive_without_effect_or_set_by_distributions_is_not_listed(lines: str) -> None:
    assert find_ignored(parse_output(lines)) == []


def test_names_are_unique_and_in_alphabetical_order() -> None:
    text = "tunnel yes\nlocalforward 1 [a]:1\nlocalforward 2 [a]:2\npkcs11provider p"

    assert find_ignored(parse_output(text)) == ["LocalForward", "PKCS11Provider", "Tunnel"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("proxyusefdpass yes\nproxycommand nc %h", "ProxyUseFdpass yes"),
        ("refuseconnection not from here", "refuses the connection: not from here"),
    ],
)
def test_a_directive_that_forbids_is_refused(lines: str, message: str) -> None:
    with pytest.raises(SshConfigError, match=message) as error:
        reject_refused("relay", parse_output(lines))

    assert error.value.message.startswith("relay: ")
    assert error.value.hint
    assert find_ignored(parse_output(lines)) == []


@pytest.mark.parametrize(
    "lines",
    [
        "pubkeyauthentication true\npreferredauthentications hostbased,publickey",
        "pubkeyauthentication unbound\nproxyusefdpass yes",
        "proxyusefdpass no\nproxycommand nc %h",
        "",
    ],
)
def test_a_directive_that_forbids_nothing_is_not_refused(lines: str) -> None:
    reject_refused("relay", parse_output(lines))
