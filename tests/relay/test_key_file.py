"""Looking keys up in an authorized_keys file of any size."""

from __future__ import annotations

import logging
from datetime import UTC
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.relay.authorized_keys_lines import blob, encoded, line
from tunnelkeeper.relay import authorized_keys, key_file
from tunnelkeeper.relay.key_file import CHECKED_LINES, LINES_PER_KEY, KeyFile
from tunnelkeeper.relay.key_options import MAX_LENGTH

if TYPE_CHECKING:
    import pytest

    from tunnelkeeper.relay.authorized_keys import AuthorizedKey


def scanned(text: str, wanted: bytes, *, is_authority: bool) -> AuthorizedKey | None:
    """Look a key up as a scan of all lines does."""
    keys, _ = authorized_keys.parse(text, "keys", UTC)
    matching = (
        key for key in keys if (key.blob, key.options.cert_authority) == (wanted, is_authority)
    )
    return next(matching, None)


options = st.sampled_from(
    [
        *["", "restrict", "cert-authority", "unknown", 'permitopen="a:1"', "cert-authority,x"],
        *[f'command="{encoded(blob(1))}"', f'command="x ssh-ed25519 {encoded(blob(2))}"', 'from="'],
    ]
)
comments = st.sampled_from(["", "box", encoded(blob(1)), f"x {encoded(blob(2))} y", "\xe9\ud800"])
starts = st.sampled_from(["", "", "", "#", " ", "\t", "# "])
ends = st.sampled_from(["\n", "\r\n", " \n", "\n\n"])
lines = st.one_of(
    st.builds(
        lambda start, option, seed, comment, end: f"{start}{line(option, seed, comment)}{end}",
        starts,
        options,
        st.integers(1, 3),
        comments,
        ends,
    ),
    st.sampled_from(["nonsense\n", "ssh-ed25519 AAAA\n", "ssh-rsa " + encoded(blob(1)) + "\n"]),
    st.text(st.sampled_from('AB/+= \t"\\#,\n\r'), max_size=40),
)


@given(st.lists(lines, max_size=8).map("".join))
def test_a_key_is_found_as_a_scan_of_all_lines_finds_it(text: str) -> None:
    keys = KeyFile(text.encode("utf-8", "surrogatepass"), "keys", UTC)

    for seed in range(1, 5):
        for is_authority in (False, True):
            found = keys.find(blob(seed), is_authority=is_authority)
            expected = scanned(text, blob(seed), is_authority=is_authority)
            assert (found and (found.number, found.options)) == (
                expected and (expected.number, expected.options)
            )


@given(st.binary(max_size=300))
def test_any_file_can_be_searched(data: bytes) -> None:
    keys = KeyFile(data, "keys", UTC)

    assert len(list(keys)) <= data.count(b"\n") + 1
    keys.warnings()


def test_a_large_file_is_not_parsed_to_find_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def split_line(text: str) -> tuple[str, str, str, str]:
        parsed.append(text)
        return authorized_keys.split_line(text)

    monkeypatch.setattr(key_file, "split_line", split_line)
    wanted = line('permitlisten="box:22"', seed=7)
    lines = [f"{line(seed=1)}{number}" for number in range(3000)]
    keys = KeyFile("\n".join([*lines, wanted, *lines]).encode(), "keys", UTC)

    for _ in range(3):
        found = keys.find(blob(7), is_authority=False)
        assert found is not None
        assert found.number == 3001
        assert keys.find(blob(8), is_authority=False) is None
    assert parsed == [wanted]


def test_the_lines_of_a_key_that_are_looked_at_are_bounded() -> None:
    plain = line(seed=1)
    keys = KeyFile("\n".join([*[plain] * LINES_PER_KEY, line("cert-authority")]).encode(), "keys")

    assert keys.find(blob(1), is_authority=False) is not None
    assert keys.find(blob(1), is_authority=True) is None


def test_parsed_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_file, "MAX_PARSED", 2)
    keys = KeyFile("\n".join(line(seed=seed) for seed in range(1, 6)).encode(), "keys")

    assert len(list(keys)) == 5
    assert len(keys._parsed) <= 2


def test_a_bad_line_beyond_the_checked_ones_is_logged_when_its_key_is_offered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "tunnelkeeper")
    text = "nonsense\n" * CHECKED_LINES + line("unknown-option", seed=1)
    keys = KeyFile(text.encode(), "keys")

    warnings = keys.warnings()

    assert len(warnings) == CHECKED_LINES + 1
    assert warnings[-1].startswith(f"keys:{CHECKED_LINES + 1}: the lines that follow are checked")
    assert keys.find(blob(1), is_authority=False) is None
    assert keys.find(blob(1), is_authority=False) is None
    assert caplog.messages == [f"keys:{CHECKED_LINES + 1}: unknown option 'unknown-option'"]


def test_options_beyond_a_length_refuse_their_key() -> None:
    permits = ",".join(['permitopen="a:1"'] * (MAX_LENGTH // 16))
    keys = KeyFile(f"{line(permits)}\n{line()}".encode(), "keys")

    assert keys.warnings()[0] == "keys:1: the options are longer than 64 KiB"
    assert keys.find(blob(1), is_authority=False) is None
