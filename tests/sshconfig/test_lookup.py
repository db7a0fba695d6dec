"""Lookup of chains with a fake ssh."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tunnelkeeper.core.configuration import Configuration, HostOptions, SupervisorOptions, Tunnel
from tunnelkeeper.sshconfig import Answer, Facts, HostLookup, Request, SshConfigError
from tunnelkeeper.sshconfig.ssh_g_output import parse_output

MakeLookup = Callable[..., HostLookup]


class FakeSsh:
    """An ssh_config by host. Like ssh -G, it omits what the request overrides."""

    def __init__(self, **stanzas: str) -> None:
        self.stanzas = {name.replace("_", "-"): text for name, text in stanzas.items()}
        self.received: list[Request] = []

    async def __call__(self, request: Request) -> Answer:
        self.received.append(request)
        answer = dict(parse_output(self.stanzas.get(request.host, "")))
        if request.jump is not None:
            answer.pop("proxyjump", None)
            answer.pop("proxycommand", None)
        if request.hostname is not None:
            answer["hostname"] = [request.hostname]
        answer.setdefault("user", [request.user or "ann"])
        for keyword, value in request.options:
            answer[keyword.lower()] = [value]
        return answer

    def requests(self, host: str) -> list[Request]:
        return [request for request in self.received if request.host == host]


def configuration(
    hosts: dict[str, HostOptions] | None = None,
    defaults: HostOptions | None = None,
    supervisor: SupervisorOptions | None = None,
) -> Configuration:
    return Configuration(
        "t.toml", supervisor or SupervisorOptions(), defaults or HostOptions(), hosts or {}
    )


@pytest.fixture
def lookup(facts: Facts) -> MakeLookup:
    def make(ssh: FakeSsh, configured: Configuration | None = None) -> HostLookup:
        return HostLookup(configured or configuration(), ssh, facts, lambda: 0.0)

    return make


async def names(lookup: HostLookup, reference: str) -> list[str]:
    return [host.name for host in await lookup.resolve_reference(reference)]


async def test_a_host_without_jump_hosts_is_a_chain_of_one(lookup: MakeLookup) -> None:
    (host,) = await lookup(FakeSsh(relay="hostname r.example.com")).resolve_reference("relay")

    assert (host.name, host.hostname) == ("relay", "r.example.com")


async def test_jump_hosts_come_first_in_ssh_order(lookup: MakeLookup) -> None:
    ssh = FakeSsh(deep="proxyjump a,u@b:2200,c")
    host_chain = await lookup(ssh).resolve_reference("deep")

    assert [host.name for host in host_chain] == ["a", "u@b:2200", "c", "deep"]
    assert ssh.requests("b") == [Request("b", "u", 2200, jump="a")]


async def test_only_the_first_jump_host_may_have_jump_hosts_of_its_own(lookup: MakeLookup) -> None:
    ssh = FakeSsh(deep="proxyjump a,b", a="proxyjump x", b="proxyjump y", x="proxyjump w")

    assert await names(lookup(ssh), "deep") == ["w", "x", "a", "b", "deep"]
    assert not ssh.requests("y")


async def test_jump_hosts_of_the_config_file_override_ssh_config(lookup: MakeLookup) -> None:
    ssh = FakeSsh(deep="proxyjump a")
    tunnel = Tunnel("t", "deep", options=HostOptions(jump=("b",)))

    assert [host.name for host in await lookup(ssh).resolve(tunnel)] == ["b", "deep"]


@pytest.mark.parametrize("stanza", ["proxyjump a", "proxycommand nc %h %p"])
async def test_an_empty_jump_list_in_the_config_file_means_no_jump_hosts_and_no_proxy(
    stanza: str,
    lookup: MakeLookup,
) -> None:
    ssh = FakeSsh(deep=stanza)
    tunnel = Tunnel("t", "deep", options=HostOptions(jump=()))
    (host,) = await lookup(ssh).resolve(tunnel)

    assert (host.name, host.proxy_command) == ("deep", None)
    assert ssh.requests("deep") == [Request("deep", jump="none")]


async def test_ssh_receives_the_jump_hosts_of_the_config_file(lookup: MakeLookup) -> None:
    ssh = FakeSsh()
    await lookup(ssh).resolve(Tunnel("t", "deep", options=HostOptions(jump=("a", "u@b:2200"))))

    assert ssh.requests("deep") == [Request("deep", jump="a,u@b:2200")]
    assert ssh.requests("b") == [Request("b", "u", 2200, jump="a")]
    assert ssh.requests("a") == [Request("a")]


async def test_a_proxy_command_of_the_config_file_overrides_proxy_jump(
    lookup: MakeLookup,
) -> None:
    ssh = FakeSsh(deep="proxyjump a")
    tunnel = Tunnel("t", "deep", options=HostOptions(proxy_command="nc %h"))
    (host,) = await lookup(ssh).resolve(tunnel)

    assert host.proxy_command == "nc deep"


async def test_a_proxy_command_applies_to_the_first_hop_only(lookup: MakeLookup) -> None:
    ssh = FakeSsh(deep="proxycommand c", a="proxycommand x %n", b="proxycommand y")
    tunnel = Tunnel("t", "deep", options=HostOptions(jump=("a", "b")))
    host_chain = await lookup(ssh).resolve(tunnel)

    assert [host.proxy_command for host in host_chain] == ["x a", None, None]


async def test_a_host_of_the_config_file_is_looked_up_by_its_name(lookup: MakeLookup) -> None:
    ssh = FakeSsh(relay="identityfile /keys/relay")
    hosts = {"relay": HostOptions(hostname="relay.example.com", port=(22, 443), user="tunnel")}
    (host,) = await lookup(ssh, configuration(hosts)).resolve_reference("relay")

    assert (host.name, host.hostname, host.user) == ("relay", "relay.example.com", "tunnel")
    assert host.ports == (22, 443)
    assert host.identity_files == ("/keys/relay",)
    assert ssh.requests("relay") == [Request("relay", "tunnel", 22, None, "relay.example.com")]


async def test_a_jump_host_of_the_config_file_may_have_jump_hosts(
    lookup: MakeLookup,
) -> None:
    hosts = {"a": HostOptions(jump=("gate",)), "b": HostOptions(jump=("nowhere",))}
    tunnel = Tunnel("t", "deep", options=HostOptions(jump=("a", "b")))
    host_chain = await lookup(FakeSsh(), configuration(hosts)).resolve(tunnel)

    assert [host.name for host in host_chain] == ["gate", "a", "b", "deep"]


async def test_user_and_port_of_a_reference_override_the_hosts_options(lookup: MakeLookup) -> None:
    hosts = {"relay": HostOptions(user="tunnel", port=(22, 443), compression=True)}
    (host,) = await lookup(FakeSsh(), configuration(hosts)).resolve_reference("bob@relay:24")

    assert (host.user, host.ports, host.compression) == ("bob", (24,), True)


async def test_a_tunnels_options_override_user_and_port_of_its_reference(
    lookup: MakeLookup,
) -> None:
    tunnel = Tunnel("t", "bob@relay:24", options=HostOptions(user="tunnel"))
    (host,) = await lookup(FakeSsh()).resolve(tunnel)

    assert (host.user, host.ports) == ("tunnel", (24,))


async def test_a_host_without_a_table_has_the_defaults_without_jump(
    lookup: MakeLookup,
) -> None:
    defaults = HostOptions(connect_timeout=3, jump=("gate",))
    (host,) = await lookup(FakeSsh(), configuration(defaults=defaults)).resolve_reference("other")

    assert host.connect_timeout == 3


@pytest.mark.parametrize(
    ("jump", "expected"),
    [(("relay",), ["relay"]), (("a", "relay"), ["a", "relay"]), (("relay", "b"), ["relay"])],
)
async def test_a_host_in_its_own_jump_list_uses_only_the_hosts_before_it(
    jump: tuple[str, ...], expected: list[str], lookup: MakeLookup
) -> None:
    tunnel = Tunnel("t", "relay", options=HostOptions(jump=jump))

    assert [host.name for host in await lookup(FakeSsh()).resolve(tunnel)] == expected


async def test_ssh_config_applies_to_the_first_host_of_its_own_jump_list(
    lookup: MakeLookup,
) -> None:
    ssh = FakeSsh(relay="proxycommand nc %h %p")
    (host,) = await lookup(ssh).resolve(Tunnel("t", "relay", options=HostOptions(jump=("relay",))))

    assert host.proxy_command == "nc relay 22"


async def test_a_second_port_of_a_jump_host_is_reached_through_it(lookup: MakeLookup) -> None:
    tunnel = Tunnel("t", "box", options=HostOptions(port=(2222,), jump=("box",)))
    host_chain = await lookup(FakeSsh()).resolve(tunnel)

    assert [str(host) for host in host_chain] == ["ann@box:22", "ann@box:2222"]


@pytest.mark.parametrize(
    ("ssh", "loop"),
    [
        (FakeSsh(a="proxyjump b", b="proxyjump a"), "a -> b -> a"),
        (FakeSsh(a="proxyjump a"), "a -> a"),
        (FakeSsh(a="proxyjump b,x", b="proxyjump c", c="proxyjump b,y"), "a -> b -> c -> b"),
    ],
)
async def test_a_loop_of_jump_hosts_is_an_error_that_names_them(
    ssh: FakeSsh, loop: str, lookup: MakeLookup
) -> None:
    with pytest.raises(SshConfigError, match="loop") as error_info:
        await lookup(ssh).resolve_reference("a")

    assert error_info.value.message.endswith(f": {loop}")
    assert "ProxyJump none" in error_info.value.hint


async def test_an_endless_chain_of_jump_hosts_is_an_error(lookup: MakeLookup) -> None:
    class Endless(FakeSsh):
        async def __call__(self, request: Request) -> Answer:
            return {"hostname": [request.host], "proxyjump": ["x%h"]}

    with pytest.raises(SshConfigError, match="loop"):
        await lookup(Endless()).resolve_reference("a")


async def test_settings_that_ssh_needs_are_passed_with_the_request(lookup: MakeLookup) -> None:
    ssh = FakeSsh()
    options = HostOptions(
        ciphers="+aes", macs="^m", kex_algorithms="-k", host_key_algorithms="h", host_key_alias="x"
    )
    await lookup(ssh).resolve(Tunnel("t", "relay", options=options))

    assert ssh.requests("relay") == [Request("relay", options=(("HostKeyAlias", "x"),))]


@pytest.mark.parametrize(
    ("configured", "source"),
    [
        (None, None),
        (False, False),
        ("/etc/ssh/x", "/etc/ssh/x"),
        ("~/.ssh/x", "/home/ann/.ssh/x"),
        ("x", "/srv/here/x"),
    ],
)
async def test_hosts_are_looked_up_in_the_configured_ssh_config(
    configured: str | None, source: str | None, lookup: MakeLookup
) -> None:
    ssh = FakeSsh()
    config = configuration(supervisor=SupervisorOptions(ssh_config=configured))
    await lookup(ssh, config).resolve_reference("relay")

    assert ssh.requests("relay") == [Request("relay", source=source)]


async def test_an_ssh_config_of_an_unknown_user_is_an_error(lookup: MakeLookup) -> None:
    configured = configuration(supervisor=SupervisorOptions(ssh_config="~unknown/x"))

    with pytest.raises(SshConfigError, match=r"supervisor\.ssh_config '~unknown/x': no such user"):
        await lookup(FakeSsh(), configured).resolve_reference("relay")


@pytest.mark.parametrize("reference", ["", "-oProxyCommand=x", "a b", "relay:0", "::1", "u@"])
async def test_a_malformed_reference_is_refused(reference: str, lookup: MakeLookup) -> None:
    with pytest.raises(SshConfigError):
        await lookup(FakeSsh()).resolve_reference(reference)


async def test_a_malformed_proxy_jump_is_refused(lookup: MakeLookup) -> None:
    with pytest.raises(SshConfigError):
        await lookup(FakeSsh(a="proxyjump -x")).resolve_reference("a")


async def test_brackets_are_removed_from_an_address_before_the_lookup(lookup: MakeLookup) -> None:
    ssh = FakeSsh()
    (host,) = await lookup(ssh).resolve_reference("[::1]:2222")

    assert str(host) == "ann@[::1]:2222"
    assert ssh.requests("::1") == [Request("::1", port=2222)]


async def test_a_thousand_tunnels_query_their_jump_host_once(lookup: MakeLookup) -> None:
    ssh = FakeSsh()
    hosts = lookup(ssh)
    tunnel = Tunnel("t", "a", options=HostOptions(jump=("relay",)))
    async with asyncio.TaskGroup() as tasks:
        for number in range(1000):
            tasks.create_task(hosts.resolve(replace(tunnel, host=f"h{number}")))

    assert len(ssh.requests("relay")) == 1
    assert len(ssh.requests("somehost")) == 1
    assert len(ssh.received) == 1002


async def test_deviations_are_reported_for_each_host_of_a_chain(lookup: MakeLookup) -> None:
    ssh = FakeSsh(a="tunnel yes", deep="proxyjump a\nstricthostkeychecking false")
    deviations = await lookup(ssh).find_deviations(Tunnel("t", "deep"))

    assert [text.split(" ", 2)[:2] for text in deviations] == [
        ["a:", "Tunnel"],
        ["deep:", "StrictHostKeyChecking"],
    ]
