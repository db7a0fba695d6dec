from __future__ import annotations

from tunnelkeeper.importing.deduplicate import deduplicate
from tunnelkeeper.importing.source_commands import ImportedTunnel, NotImportable


def tunnel(name: str, port: int) -> ImportedTunnel:
    return ImportedTunnel(name, f"line {port}", {"host": "h", "socks": [str(port)]})


def names(outcomes: list[ImportedTunnel | NotImportable]) -> list[str]:
    return [each.name for each in outcomes if isinstance(each, ImportedTunnel)]


def test_every_tunnel_has_a_name_of_its_own() -> None:
    three = [tunnel("a", 1), tunnel("a", 2), tunnel("b", 3)]

    assert names(deduplicate(three)) == ["a", "a-2", "b"]
    assert names(deduplicate(three, ["a", "a-2"])) == ["a-3", "a-4", "b"]


def test_what_is_replaced_is_what_has_the_name_and_nothing_else() -> None:
    two = [tunnel("a", 1), tunnel("a", 2)]

    assert names(deduplicate(two, ["a", "a-2"], replaces=True)) == ["a", "a-3"]


def test_of_two_that_listen_on_one_port_the_first_is_taken() -> None:
    first, second = deduplicate([tunnel("a", 1), tunnel("b", 1)])

    assert first == tunnel("a", 1)
    assert second == NotImportable("line 1", "listens on localhost:1, where a does already")


def test_a_table_that_the_config_file_would_not_take_is_refused_in_its_words() -> None:
    [refused] = deduplicate([tunnel("a", 70000)])

    assert isinstance(refused, NotImportable)
    assert "tunnels.a.socks" in refused.why
    assert "70000" in refused.why
