from __future__ import annotations

import pytest

from tunnelkeeper.core.name_patterns import NoMatchError, expand_patterns, is_pattern

NAMES = ["eu-1", "eu-2", "us-1", "db"]


def test_a_pattern_stands_for_the_names_that_it_matches_in_their_order() -> None:
    assert expand_patterns(["eu-*"], NAMES) == ["eu-1", "eu-2"]
    assert expand_patterns(["*-[1]"], NAMES) == ["eu-1", "us-1"]


def test_names_and_patterns_can_be_mixed_and_none_is_repeated() -> None:
    assert expand_patterns(["us-1", "??-1", "db", "db"], NAMES) == ["us-1", "eu-1", "db"]


def test_an_unknown_name_is_kept_for_the_caller_to_refuse() -> None:
    assert expand_patterns(["nope"], NAMES) == ["nope"]


def test_a_pattern_without_a_match_is_an_error() -> None:
    with pytest.raises(NoMatchError, match=r"no tunnel matches 'asia-\*'"):
        expand_patterns(["db", "asia-*"], NAMES)


@pytest.mark.parametrize("word", ["a*", "a?", "[ab]"])
def test_wildcards_make_a_pattern(word: str) -> None:
    assert is_pattern(word)
    assert not is_pattern("eu-1.x_y")
