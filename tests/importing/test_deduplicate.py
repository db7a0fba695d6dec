from __future__ import annotations

from tunnelkeeper.importing.deduplicate import deduplicate
from tunnelkeeper.importing.source_commands import ImportedTunnel, NotImportable


def tunnel(name: str, port: int) -> ImportedTunnel:
    return ImportedTunnel(name, f"line {port}", {"host": "h", "socks": [str(port)]})


def names(outcomes: list[ImportedTunnel | NotImportable]) -> list[str]:
    return [outcome.name for outcome in outcomes if isinstance(outcome, ImportedTunnel)]


def test_duplicate_names_get_a_number() -> None:
    three = [tunnel("a", 1), tunnel("a", 2), tunnel("b", 3)]

    assert names(deduplicate(three)) == ["a", "a-2", "b"]
    assert names(deduplicate(three, ["a", "a-2"])) == ["a-3", "a-4", "b"]


def test_only_the_tunnel_with_the_same_name_is_replaced() -> None:
    two = [tunnel("a", 1), tunnel("a", 2)]

    assert names(deduplicate(two, ["a", "a-2"], replace_existing=True)) == ["a", "a-3"]


def test_the_first_of_two_tunnels_with_the_same_port_is_kept() -> None:
    first, second = deduplicate([tunnel("a", 1), tunnel("b", 1)])

    assert first == tunnel("a", 1)
    assert second == NotImportable("line 1", "it listens on localhost:1, which a already uses")


def test_a_table_that_the_config_parser_rejects_is_refused_with_its_message() -> None:
    [refused] = deduplicate([tunnel("a", 70000)])

    assert isinstance(refused, NotImportable)
    assert "tunnels.a.socks" in refused.reason
    assert "70000" in refused.reason
