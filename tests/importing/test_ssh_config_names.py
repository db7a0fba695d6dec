from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.importing.source_commands import UnreadableError
from tunnelkeeper.importing.ssh_config_files import read_host_names
from tunnelkeeper.importing.ssh_config_names import parse_host_names

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
Include more/*.conf ~/other
Host office  "second one" !not web-? # host comment
host=three
  LocalForward 1 a:2
Match originalhost four,five,*.six user ann
Match all
HostName nothing
#Host eight
"""


def test_names_and_patterns_are_separated() -> None:
    names = parse_host_names(TEXT)

    assert names.hosts == ["office", "second one", "three", "four", "five"]
    assert names.patterns == ["web-?", "*.six"]
    assert names.includes == ["more/*.conf", "~/other"]


def test_files_that_include_each_other_many_times_are_read_once(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    main = tmp_path / ".ssh" / "config"
    main.write_text("Host a\n" + "Include config other\n" * 10)
    (tmp_path / ".ssh" / "other").write_text("Host b\n" + "Include config other\n" * 10)

    names = read_host_names(str(main), str(tmp_path))

    assert sorted(set(names.hosts)) == ["a", "b"]
    assert len(names.hosts) <= 3


def test_a_file_beyond_a_size_is_not_read(tmp_path: Path) -> None:
    main = tmp_path / "config"
    main.write_text("#" * (1024 * 1024 + 1))

    with pytest.raises(UnreadableError, match="larger than 1 MiB"):
        read_host_names(str(main), str(tmp_path))


@given(st.text() | st.text(st.sampled_from('Host match="a*!,# \t\n')))
def test_any_text_is_accepted(text: str) -> None:
    names = parse_host_names(text)

    assert all(names.hosts + names.patterns)


def test_included_files_are_read_recursively(tmp_path: Path) -> None:
    (tmp_path / ".ssh" / "more").mkdir(parents=True)
    main = tmp_path / "config"
    main.write_text("Include more/*.conf ~/other /nowhere/*\nHost last\n")
    (tmp_path / ".ssh" / "more" / "a.conf").write_text("Host a\nInclude b\n")
    (tmp_path / ".ssh" / "b").write_text("Host b\nInclude b\n")
    (tmp_path / "other").write_text("Host *.c\n")

    names = read_host_names(str(main), str(tmp_path))

    assert list(dict.fromkeys(names.hosts)) == ["last", "a", "b"]
    assert names.patterns == ["*.c"]
