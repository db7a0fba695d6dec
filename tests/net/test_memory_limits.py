from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.net import memory_limits
from tunnelkeeper.net.memory_limits import MAX_BUDGET, MIN_BUDGET, default_budget, smallest_limit

if TYPE_CHECKING:
    from pathlib import Path

MB = 1 << 20


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/a.slice/b.service\n", {"a.slice/b.service/memory.max": "52428800\n"}, 50 * MB),
        ("0::/a.slice/b.service\n", {"a.slice/memory.max": "52428800\n"}, 50 * MB),
        ("0::/\n", {"memory.max": "52428800\n"}, 50 * MB),
        ("0::/s\n", {"s/memory.max": "max\n", "s/memory.high": "31457280\n"}, 30 * MB),
        (
            "0::/s/t\n",
            {"s/memory.max": "52428800\n", "s/t/memory.max": "73400320\n"},
            50 * MB,
        ),
        ("0::/s\n", {"s/memory.max": "max\n"}, None),
        ("0::/s\n", {"s/memory.max": "a word\n"}, None),
        (
            "4:cpu:/c\n5:memory:/docker/x\n",
            {"memory/docker/x/memory.limit_in_bytes": "41943040\n"},
            40 * MB,
        ),
        (
            "5:memory:/docker/x\n",
            {"memory/docker/x/memory.limit_in_bytes": "9223372036854771712\n"},
            None,
        ),
        ("4:cpu:/c\n", {"c/memory.max": "41943040\n"}, None),
        ("no colons\n", {"memory.max": "41943040\n"}, 40 * MB),
        ("", {}, None),
    ],
)
def test_the_smallest_limit_of_the_own_control_groups_is_found(
    tmp_path: Path, groups: str, files: dict[str, str], limit: int | None
) -> None:
    own = tmp_path / "cgroup"
    own.write_text(groups)
    write(tmp_path / "fs", files)

    assert smallest_limit(own, tmp_path / "fs") == limit


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert smallest_limit(tmp_path / "missing", tmp_path) is None


@pytest.mark.parametrize(
    ("machine", "limit", "budget"),
    [
        (1024 * MB, None, 256 * MB),
        (1024 * MB, 400 * MB, 200 * MB),
        (1024 * MB, 900 * MB, 256 * MB),
        (100 * MB, None, MIN_BUDGET),
        (1024 * 1024 * MB, None, MAX_BUDGET),
        (None, None, MAX_BUDGET),
        (None, 300 * MB, 150 * MB),
    ],
)
def test_the_default_budget_is_a_part_of_the_memory(
    monkeypatch: pytest.MonkeyPatch, machine: int | None, limit: int | None, budget: int
) -> None:
    monkeypatch.setattr(memory_limits, "_machine_memory", lambda: machine)
    monkeypatch.setattr(memory_limits, "smallest_limit", lambda: limit)

    assert default_budget() == budget
