import errno
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tunnelkeeper.net.regular_file import SIZE_LIMIT
from tunnelkeeper.ssh.auth import file_cache
from tunnelkeeper.ssh.auth.known_hosts import Trusted, check_host_key, host_pattern, parse
from tunnelkeeper.ssh.auth.known_hosts_file import KnownHostsFiles, append_host_key

ALGORITHM = "ssh-ed25519"


def key(seed: int) -> bytes:
    return b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes([seed]) * 32


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Clear the umask, so that modes are those that the code sets."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def hosts_in(file: Path) -> list[str]:
    lines, warnings = parse(file.read_text(), str(file))

    assert warnings == ()
    return [entry.patterns[0] for entry in lines]


# Reading


def test_a_file_is_read_again_only_after_a_change(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cache, "TIMESTAMP_STEP_NS", 0)
    files, path = KnownHostsFiles(), str(file)
    append_host_key(path, "host", ALGORITHM, key(1), hashed=True)
    first, _ = files.keys_for_blocking([path], "host", 22, None)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", pytest.fail)  # must not be opened
        assert files.keys_for_blocking([path], "host", 22, None)[0] is first

    append_host_key(path, "host", ALGORITHM, key(2), hashed=True)

    second, _ = files.keys_for_blocking([path], "host", 22, None)
    assert [line.blob for line in second.host_keys] == [key(1), key(2)]


async def test_a_large_file_does_not_block_the_event_loop(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def watched(text: str, path: str) -> object:
        threads.append(threading.current_thread())
        return parse(text, path)

    monkeypatch.setattr("tunnelkeeper.ssh.auth.known_hosts_file.parse", watched)
    append_host_key(str(file), "host", ALGORITHM, key(1), hashed=True)

    known, _ = await KnownHostsFiles().keys_for((str(file),), "host", 22, None)

    assert [line.blob for line in known.host_keys] == [key(1)]
    assert threading.main_thread() not in threads != []


def test_the_warnings_of_a_cached_file_are_returned_again(file: Path) -> None:
    file.write_text("what is this\n")
    files = KnownHostsFiles()

    assert files.read([str(file)])[1] == files.read([str(file)])[1] != ()


def test_a_file_that_could_not_be_read_is_read_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_descriptor(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    files = KnownHostsFiles()
    append_host_key(str(file), "host", ALGORITHM, key(1), hashed=False)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", no_descriptor)
        with pytest.raises(OSError, match="Too many open files"):
            files.read([str(file)])

    assert files.read([str(file)])[2] == (str(file),)


def test_combined_files_change_when_one_of_them_is_removed(tmp_path: Path) -> None:
    files, paths = KnownHostsFiles(), [tmp_path / "user", tmp_path / "system"]
    for number, path in enumerate(paths):
        append_host_key(str(path), "host", ALGORITHM, key(number), hashed=False)
    names = [str(path) for path in paths]
    assert len(files.read(names)[0].lines) == 2

    paths[0].unlink()

    assert [line.blob for line in files.read(names)[0].lines] == [key(1)]


def test_files_are_read_in_order_and_missing_ones_are_skipped(tmp_path: Path) -> None:
    user, system = tmp_path / "user", tmp_path / "system"
    append_host_key(str(user), "host", ALGORITHM, key(1), hashed=False)
    append_host_key(str(system), "host", ALGORITHM, key(2), hashed=False)

    known_hosts, warnings, files_read = KnownHostsFiles().read(
        [str(user), str(tmp_path / "none"), str(system)]
    )

    assert [(entry.path, entry.blob) for entry in known_hosts.lines] == [
        (str(user), key(1)),
        (str(system), key(2)),
    ]
    assert warnings == ()
    assert files_read == (str(user), str(system))


def test_dev_null_means_no_file() -> None:
    known_hosts, warnings, files_read = KnownHostsFiles().read([os.devnull])

    assert (known_hosts.lines, warnings, files_read) == ((), (), ())


def test_a_warning_about_a_malformed_line_names_the_file(file: Path) -> None:
    file.write_text("junk\n")

    assert KnownHostsFiles().read([str(file)])[1] == (
        f"{file}:1: expected host names, key type and key; the line ends before the key type",
    )


def test_invalid_utf8_affects_only_its_own_line(file: Path) -> None:
    append_host_key(str(file), "host", ALGORITHM, key(1), hashed=False)
    file.write_bytes(b"\xff\xfe\x00 \x80 \x81\n" + file.read_bytes())

    known_hosts, warnings, _ = KnownHostsFiles().read([str(file)])

    assert [entry.number for entry in known_hosts.lines] == [2]
    assert len(warnings) == 1


def test_a_directory_is_skipped_with_a_warning(tmp_path: Path) -> None:
    known_hosts, warnings, files_read = KnownHostsFiles().read([str(tmp_path)])

    assert known_hosts.lines == ()
    assert warnings == (f"{tmp_path}: its host keys are not used: Is a directory",)
    assert files_read == ()


def test_a_fifo_is_skipped_with_a_warning_and_does_not_block(file: Path) -> None:
    os.mkfifo(file)

    assert KnownHostsFiles().read([str(file)])[1] == (
        f"{file}: its host keys are not used: not a regular file",
    )


def test_an_unreadable_file_is_skipped_with_a_warning(file: Path) -> None:
    file.touch()

    assert KnownHostsFiles().read([f"{file}/below"])[1] == (
        f"{file}/below: its host keys are not used: {os.strerror(errno.ENOTDIR)}",
    )


def test_a_file_above_the_size_limit_is_skipped_with_a_warning(file: Path) -> None:
    append_host_key(str(file), "host", ALGORITHM, key(1), hashed=False)
    os.truncate(file, SIZE_LIMIT + 1)

    known_hosts, warnings, files_read = KnownHostsFiles().read([str(file)])

    assert known_hosts.lines == ()
    assert warnings == (f"{file}: its host keys are not used: larger than 16 MiB",)
    assert files_read == ()


# Appending


@pytest.mark.parametrize("hashed", [False, True], ids=["plain", "hashed"])
def test_an_appended_key_is_found_here_and_by_ssh_keygen(file: Path, *, hashed: bool) -> None:
    name = host_pattern("Host", 2222, None)
    append_host_key(str(file), name, ALGORITHM, key(1), hashed=hashed)
    found = KnownHostsFiles().read([str(file)])[0].keys_for("host", 2222, None)
    shown = subprocess.run(
        ["ssh-keygen", "-F", name, "-f", file], capture_output=True, text=True, check=True
    ).stdout

    assert isinstance(check_host_key(found, ALGORITHM, key(1)), Trusted)
    assert "found: line 1" in shown
    assert ("[host]" in file.read_text()) is not hashed


def test_each_hashed_host_has_a_new_salt(file: Path) -> None:
    append_host_key(str(file), "host", ALGORITHM, key(1), hashed=True)
    append_host_key(str(file), "host", ALGORITHM, key(1), hashed=True)

    assert len(set(hosts_in(file))) == 2


@pytest.mark.usefixtures("open_umask")
def test_a_missing_file_and_its_directory_are_created_private(tmp_path: Path) -> None:
    file = tmp_path / ".ssh" / "known_hosts"
    append_host_key(str(file), "host", ALGORITHM, key(1), hashed=False)

    assert mode(file) == 0o600
    assert mode(file.parent) == 0o700


@pytest.mark.usefixtures("open_umask")
def test_an_existing_file_keeps_its_mode_and_contents(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    file = tmp_path / "known_hosts"
    file.write_text("# mine\n")
    file.chmod(0o644)
    append_host_key(str(file), "host", ALGORITHM, key(1), hashed=False)

    assert (mode(file), mode(tmp_path)) == (0o644, 0o755)
    assert file.read_text().startswith("# mine\nhost ssh-ed25519 ")


def test_a_symlink_stays_a_symlink(file: Path) -> None:
    target = file.with_name("elsewhere")
    file.symlink_to(target)
    append_host_key(str(file), "host", ALGORITHM, key(1), hashed=False)

    assert file.is_symlink()
    assert hosts_in(target) == ["host"]


def test_a_missing_final_newline_is_added_first(file: Path) -> None:
    append_host_key(str(file), "first", ALGORITHM, key(1), hashed=False)
    file.write_text(file.read_text().rstrip("\n"))
    append_host_key(str(file), "second", ALGORITHM, key(2), hashed=False)

    assert hosts_in(file) == ["first", "second"]
    assert "\n\n" not in file.read_text()


def test_lines_of_concurrent_writers_stay_intact(file: Path) -> None:
    names = [f"host{number}" for number in range(64)]
    with ThreadPoolExecutor(8) as writers:
        list(
            writers.map(
                lambda name: append_host_key(str(file), name, ALGORITHM, key(1), hashed=False),
                names,
            )
        )

    assert sorted(hosts_in(file)) == sorted(names)


def test_an_invalid_name_is_refused_and_no_file_is_created(file: Path) -> None:
    with pytest.raises(OSError, match="more than one host") as refused:
        append_host_key(str(file), "*", ALGORITHM, key(1), hashed=False)

    assert refused.value.errno == errno.EINVAL
    assert refused.value.filename == str(file)
    assert not file.exists()


def test_only_the_last_directory_is_created(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        append_host_key(str(tmp_path / "a" / "b" / "kh"), "host", ALGORITHM, key(1), hashed=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_an_error() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        append_host_key("/dev/full", "host", ALGORITHM, key(1), hashed=False)


def test_a_partially_written_line_is_an_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))

    with pytest.raises(OSError, match="wrote only 10 of"):
        append_host_key(str(file), "host", ALGORITHM, key(1), hashed=False)


def test_a_host_key_is_not_written_to_a_fifo(file: Path) -> None:
    os.mkfifo(file)

    with pytest.raises(OSError, match="not a regular file"):
        append_host_key(str(file), "relay", ALGORITHM, key(1), hashed=False)


def test_the_null_device_takes_a_host_key(file: Path) -> None:
    file.symlink_to(os.devnull)

    append_host_key(str(file), "relay", ALGORITHM, key(1), hashed=False)

    assert file.is_char_device()
