"""The rule of confirmation: one tunnel at once, several or the whole file only after `y`."""

from __future__ import annotations

from typing import get_args

import pytest

from tests.control.fakes import a_tunnel
from tests.dashboard.sample_model import ControllerHarness
from tunnelkeeper.dashboard.command_parser import TUNNEL_VERBS, TunnelVerb
from tunnelkeeper.dashboard.key_bindings import TABLE, TUNNEL
from tunnelkeeper.dashboard.ui_state import Confirming, Method, Reload, TunnelAction

ACTIONS = [*((verb, False) for verb in TUNNEL_VERBS), ("restart", True)]


def harness() -> ControllerHarness:
    """Return three tunnels that every action applies to."""
    return ControllerHarness(*(a_tunnel(name, "backoff", groups=["g"]) for name in ("a", "b", "c")))


def tunnel_actions(harness: ControllerHarness) -> list[TunnelAction]:
    return [action for action in harness.actions if isinstance(action, TunnelAction)]


@pytest.mark.parametrize(("verb", "graceful"), ACTIONS)
@pytest.mark.parametrize("target", ["selected", "marked", "named"])
def test_an_action_on_one_tunnel_runs_at_once(
    verb: TunnelVerb, graceful: bool, target: str
) -> None:
    table = harness()
    if target == "marked":
        table.controller.cursor.toggle_mark()
    table.controller.control_tunnels(verb, ("a",) if target == "named" else None, graceful=graceful)

    [action] = tunnel_actions(table)
    assert (action.names, action.graceful) == (("a",), graceful)
    assert not isinstance(table.ui_state.mode, Confirming)


@pytest.mark.parametrize(("verb", "graceful"), ACTIONS)
@pytest.mark.parametrize("target", ["folded", "marked", "named"])
def test_an_action_on_several_tunnels_runs_only_after_yes(
    verb: TunnelVerb, graceful: bool, target: str
) -> None:
    for yes in (False, True):
        table = harness()
        match target:
            case "folded":
                table.controller.toggle_fold()
            case "marked":
                table.controller.cursor.toggle_all_marks()
        names = ("a", "b", "c") if target == "named" else None
        table.controller.control_tunnels(verb, names, graceful=graceful)
        assert tunnel_actions(table) == []
        assert table.lines()[-1].startswith(f" {verb} 3 tunnels")
        table.controller.confirm(yes=yes)

        assert [action.names for action in tunnel_actions(table)] == [("a", "b", "c")] * yes


@pytest.mark.parametrize(
    ("names", "question"),
    [
        (("a",), "stop a? It is in no config file: this ends it."),
        (("a", "b"), "stop 2 tunnels? This ends the one in no config file."),
        (("a", "b", "c"), "stop 3 tunnels? This ends the 2 in no config file."),
    ],
)
def test_a_stop_that_ends_a_tunnel_for_good_says_so_and_asks(
    names: tuple[str, ...], question: str
) -> None:
    table = ControllerHarness(a_tunnel("a", ad_hoc=True), a_tunnel("b"), a_tunnel("c", ad_hoc=True))
    table.controller.control_tunnels("stop", names)

    assert tunnel_actions(table) == []
    assert question in table.lines(80, 24)[-1]
    assert "y yes  n no" in table.lines(80, 24)[-1]
    table.controller.confirm(yes=True)
    assert [action.names for action in tunnel_actions(table)] == [names]


def test_no_key_acts_on_several_tunnels_or_reloads_without_confirmation() -> None:
    for action in (TABLE | TUNNEL).values():
        table = harness()
        table.controller.cursor.toggle_all_marks()
        action(table.controller)

        assert not [each for each in table.actions if isinstance(each, TunnelAction | Reload)]


@pytest.mark.parametrize(
    ("verb", "by_key", "by_name"),
    [
        ("stop", "s starts it again", ":start a"),
        ("start", "x stops it again", ":stop a"),
        ("restart", "", ""),
        ("retry", "", ""),
    ],
)
def test_the_result_on_one_tunnel_says_what_undoes_it(
    verb: TunnelVerb, by_key: str, by_name: str
) -> None:
    table = harness()
    table.controller.control_tunnels(verb)
    table.controller.control_tunnels(verb, ("a",))

    assert [action.undo for action in tunnel_actions(table)] == [by_key, by_name]
    assert {action.method for action in tunnel_actions(table)} <= {*get_args(Method)}


def test_the_hint_follows_the_message() -> None:
    table = harness()
    table.controller.show_result("stop a: done", hint="s starts it again")

    assert table.lines()[-1].strip() == "stop a: done  s starts it again"


def test_a_reload_keeps_the_marks() -> None:
    table = harness()
    table.controller.cursor.toggle_all_marks()
    table.controller.ask_to_reload()
    table.controller.confirm(yes=True)

    assert table.actions == [Reload()]
    assert table.ui_state.marked == {"a", "b", "c"}
