from dataclasses import replace

import pytest

from tunnelkeeper.core.configuration import Host, HostKeyPolicy, HostOptions, Keepalive
from tunnelkeeper.sshconfig import Facts, SshConfigError
from tunnelkeeper.sshconfig.deviations import find_deviations
from tunnelkeeper.sshconfig.resolve import LookupResult, jump_hosts, resolve
from tunnelkeeper.sshconfig.ssh_g_output import parse_output

UNCHOSEN = """\
ciphers chacha,aes
macs umac
kexalgorithms curve
hostkeyalgorithms ed25519
pubkeyacceptedalgorithms ed25519
"""


def lookup_result(
    facts: Facts, value: str = "", options: HostOptions | None = None, jump: str = ""
) -> LookupResult:
    """Return the lookup result of the host `relay` for a text of ssh_config."""
    return LookupResult(
        name="relay",
        original_host="relay",
        options=options or HostOptions(),
        answer=parse_output(value),
        default_answer=parse_output(UNCHOSEN),
        facts=facts,
        jump=jump,
    )


def test_an_unconfigured_host_gets_the_built_in_defaults(facts: Facts) -> None:
    host = resolve(lookup_result(facts, UNCHOSEN))

    assert host == Host(
        name="relay",
        hostname="relay",
        user="ann",
        identity_agent="/run/agent",
        host_key_policy="ask",
    )


def test_ssh_config_overrides_the_built_in_defaults(facts: Facts) -> None:
    value = """\
hostname relay.example.com
user tunnel
port 2222
identityfile ~/.ssh/%r
identityfile none
identityfile ${KEYS}/a
identityfile /keys/a
certificatefile /keys/a-cert.pub
identitiesonly yes
identityagent none
userknownhostsfile /home/ann/k1 /home/ann/k 2
globalknownhostsfile /etc/k
hostkeyalias home
stricthostkeychecking accept-new
hashknownhosts yes
addressfamily inet6
bindaddress ::1
compression yes
ciphers aes
macs hmac
kexalgorithms ecdh
hostkeyalgorithms rsa
pubkeyacceptedalgorithms rsa
proxycommand nc %h %p
connecttimeout 3
serveraliveinterval 20
serveralivecountmax 5
tcpkeepalive no
"""

    assert resolve(lookup_result(facts, value)) == Host(
        name="relay",
        hostname="relay.example.com",
        user="tunnel",
        ports=(2222,),
        identity_files=("/home/ann/.ssh/tunnel", "/keys/a"),
        certificate_files=("/keys/a-cert.pub",),
        identities_only=True,
        identity_agent=None,
        user_known_hosts=("/home/ann/k1", "/home/ann/k 2"),
        system_known_hosts=("/etc/k",),
        host_key_alias="home",
        host_key_policy="accept-new",
        hash_known_hosts=True,
        address_family="inet6",
        bind_address="::1",
        compression=True,
        ciphers="aes",
        macs="hmac",
        kex_algorithms="ecdh",
        host_key_algorithms="rsa",
        pubkey_accepted_algorithms="rsa",
        proxy_command="nc relay.example.com 2222",
        connect_timeout=3,
        keepalive=Keepalive(20, 5),
        tcp_keepalive=False,
    )


def test_the_config_file_overrides_ssh_config(facts: Facts) -> None:
    value = """\
user tunnel
port 2222
identityfile /keys/a
certificatefile /keys/c
identitiesonly yes
identityagent none
userknownhostsfile /home/ann/k1
globalknownhostsfile /etc/k
hostkeyalias home
stricthostkeychecking accept-new
addressfamily inet6
bindaddress ::1
compression yes
proxycommand nc %h %p
connecttimeout 3
serveraliveinterval 20
serveralivecountmax 5
tcpkeepalive no
"""
    options = HostOptions(
        port=(22, 443),
        user="me",
        identity_files=("~/mine-%p",),
        certificate_files=(),
        identities_only=False,
        identity_agent="$KEYS",
        known_hosts=("~/known/%k", "none"),
        host_key_alias="other",
        host_key_policy="strict",
        address_family="inet",
        bind_address="127.0.0.1",
        compression=False,
        proxy_command="mine %r",
        connect_timeout=1.5,
        keepalive_interval=0,
        keepalive_count_max=1,
        tcp_keepalive=True,
    )

    assert resolve(lookup_result(facts, value, options)) == Host(
        name="relay",
        hostname="relay",
        user="me",
        ports=(22, 443),
        identity_files=("/home/ann/mine-22",),
        certificate_files=(),
        identities_only=False,
        identity_agent="/keys",
        user_known_hosts=("/home/ann/known/other",),
        system_known_hosts=("/etc/k",),
        host_key_alias="other",
        host_key_policy="strict",
        address_family="inet",
        bind_address="127.0.0.1",
        compression=False,
        proxy_command="mine me",
        connect_timeout=1.5,
        keepalive=Keepalive(0, 1),
        tcp_keepalive=True,
    )


def test_an_algorithm_list_of_the_config_file_is_kept_as_it_is(facts: Facts) -> None:
    host = resolve(lookup_result(facts, UNCHOSEN, HostOptions(ciphers="+aes")))

    assert (host.ciphers, host.macs) == ("+aes", None)


def test_the_old_name_of_pubkey_accepted_algorithms_is_read(facts: Facts) -> None:
    value = "pubkeyacceptedkeytypes rsa"

    assert resolve(lookup_result(facts, value)).pubkey_accepted_algorithms == "rsa"


@pytest.mark.parametrize(
    ("value", "policy"),
    [
        ("ask", "ask"),
        ("true", "strict"),
        ("yes", "strict"),
        ("accept-new", "accept-new"),
        ("false", "accept-new"),
        ("off", "accept-new"),
        ("no", "accept-new"),
    ],
)
def test_strict_host_key_checking_becomes_a_policy(
    value: str, policy: HostKeyPolicy, facts: Facts
) -> None:
    host = lookup_result(facts, f"stricthostkeychecking {value}")

    assert resolve(host).host_key_policy == policy
    assert bool(find_deviations(host)) == (value in {"false", "off", "no"})


def test_a_policy_in_the_config_file_is_no_deviation(facts: Facts) -> None:
    value = "stricthostkeychecking false"

    assert (
        find_deviations(lookup_result(facts, value, HostOptions(host_key_policy="accept-new")))
        == ()
    )


@pytest.mark.parametrize(
    ("known_hosts", "configured", "expected"),
    [
        ("/dev/null", None, False),
        ("none", None, False),
        ("/k", None, True),
        ("/dev/null", ("/k",), True),
        ("/k", ("/dev/null",), False),
    ],
)
def test_a_changed_key_is_no_deviation_if_no_key_is_kept(
    known_hosts: str, configured: tuple[str, ...] | None, expected: bool, facts: Facts
) -> None:
    answer = f"stricthostkeychecking false\nuserknownhostsfile {known_hosts}"
    host = lookup_result(facts, answer, HostOptions(known_hosts=configured))

    assert bool(find_deviations(host)) is expected


def test_directives_that_the_caller_reports_are_left_out(facts: Facts) -> None:
    host = lookup_result(facts, "tunnel yes")

    assert find_deviations(host, frozenset({"Tunnel"})) == ()


def test_an_unsupported_directive_is_reported_with_the_host(
    facts: Facts,
) -> None:
    assert find_deviations(lookup_result(facts, "tunnel yes")) == (
        "relay: Tunnel of ssh_config is not supported",
    )


@pytest.mark.parametrize(
    ("value", "options", "keepalive"),
    [
        ("serveraliveinterval 0\nserveralivecountmax 9", HostOptions(), Keepalive(15, 3)),
        ("serveraliveinterval 30\nserveralivecountmax 9", HostOptions(), Keepalive(30, 9)),
        ("serveraliveinterval 30", HostOptions(keepalive_interval=5), Keepalive(5, 3)),
        ("serveralivecountmax 9", HostOptions(keepalive_interval=5), Keepalive(5, 9)),
        ("", HostOptions(keepalive_count_max=7), Keepalive(15, 7)),
        ("serveraliveinterval 30", HostOptions(keepalive_interval=0), Keepalive(0, 3)),
    ],
)
def test_keepalives_of_ssh_config_apply_unless_the_interval_is_zero(
    value: str, options: HostOptions, keepalive: Keepalive, facts: Facts
) -> None:
    assert resolve(lookup_result(facts, value, options)).keepalive == keepalive


@pytest.mark.parametrize("value", ["none", "0"])
def test_without_a_timeout_in_ssh_config_the_default_applies(value: str, facts: Facts) -> None:
    assert resolve(lookup_result(facts, f"connecttimeout {value}")).connect_timeout == 10


@pytest.mark.parametrize(
    ("value", "agent"),
    [
        ("none", None),
        ("SSH_AUTH_SOCK", "/run/agent"),
        ("$SSH_AUTH_SOCK", "/run/agent"),
        ("$KEYS", "/keys"),
        ("$NOPE", None),
        ("${KEYS}/agent", "/keys/agent"),
        ("~/agent-%r", "/home/ann/agent-ann"),
        ("/run/an agent", "/run/an agent"),
    ],
)
def test_an_identity_agent_is_a_path_or_a_variable_or_none(
    value: str, agent: str | None, facts: Facts
) -> None:
    assert resolve(lookup_result(facts, f"identityagent {value}")).identity_agent == agent
    assert (
        resolve(lookup_result(facts, "", HostOptions(identity_agent=value))).identity_agent == agent
    )


@pytest.mark.parametrize("environment", [{}, {"SSH_AUTH_SOCK": ""}])
def test_without_an_agent_in_the_environment_no_agent_is_used(
    environment: dict[str, str], facts: Facts
) -> None:
    assert resolve(lookup_result(replace(facts, environment=environment))).identity_agent is None


def test_a_host_behind_a_jump_host_has_no_proxy_command(facts: Facts) -> None:
    options = HostOptions(proxy_command="mine")

    assert resolve(lookup_result(facts, "proxycommand nc", jump="b")).proxy_command is None
    assert resolve(lookup_result(facts, "proxycommand nc", options, jump="b")).proxy_command is None


@pytest.mark.parametrize("written", ["none", "NONE"])
def test_proxy_command_none_means_no_command(written: str, facts: Facts) -> None:
    options = HostOptions(proxy_command=written)

    assert resolve(lookup_result(facts, "proxycommand nc", options)).proxy_command is None


@pytest.mark.parametrize("keyword", ["userknownhostsfile", "globalknownhostsfile"])
def test_known_hosts_none_means_no_files(keyword: str, facts: Facts) -> None:
    host = resolve(lookup_result(facts, f"{keyword} none"))

    assert host.user_known_hosts == host.system_known_hosts == ()


def test_proxy_jump_expands_tokens_of_the_target_host(facts: Facts) -> None:
    value = "hostname r.example.com\nproxyjump %r@gate-%h:%p,%n.gate"

    assert jump_hosts(lookup_result(facts, value)) == ("ann@gate-r.example.com:22", "relay.gate")


@pytest.mark.parametrize("value", ["", "proxyjump none"])
def test_without_a_proxy_jump_there_are_no_jump_hosts(value: str, facts: Facts) -> None:
    assert jump_hosts(lookup_result(facts, value)) == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("identityfile /%y", "relay: IdentityFile '/%y': unknown token %y"),
        (
            "certificatefile ~unknown/c",
            "relay: CertificateFile '~unknown/c': no such user: unknown",
        ),
        ("globalknownhostsfile ~unknown/k", "relay: GlobalKnownHostsFile"),
        ("proxycommand nc %u", "relay: ProxyCommand 'nc %u': unknown token %u"),
        ("identityagent ${NOPE}", "no variable NOPE"),
        ("port ssh", "relay: expected a number for port of ssh_config, got ssh"),
    ],
)
def test_an_invalid_value_is_reported_with_host_and_directive(
    value: str, message: str, facts: Facts
) -> None:
    with pytest.raises(SshConfigError) as error_info:
        resolve(lookup_result(facts, value))

    assert message in error_info.value.message


def test_an_unknown_token_in_proxy_jump_is_reported(facts: Facts) -> None:
    with pytest.raises(SshConfigError, match=r"relay: ProxyJump '%u\.gate'"):
        jump_hosts(lookup_result(facts, "proxyjump %u.gate"))
