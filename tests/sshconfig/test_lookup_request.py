import pytest

from tunnelkeeper.sshconfig import Request, SshConfigError


@pytest.mark.parametrize(
    "host", ["", "-oProxyCommand=x", "a b", "$(x)", "a`x`", "a;b", "a\nb", "u@h", "ssh://h", "\0"]
)
def test_a_host_that_looks_like_an_option_or_shell_syntax_is_refused(host: str) -> None:
    with pytest.raises(SshConfigError, match="expected a host name"):
        Request(host)


@pytest.mark.parametrize("host", ["relay", "::1", "fe80::1%eth0", "bücher", "a#b", "a=b", "a%b"])
def test_an_unusual_host_name_is_accepted(host: str) -> None:
    assert Request(host).host == host


@pytest.mark.parametrize("user", ["", "-x", "a;b", "a\x1bb", "a\\"])
def test_a_user_that_looks_like_shell_syntax_is_refused(user: str) -> None:
    with pytest.raises(SshConfigError, match="expected a user name"):
        Request("relay", user=user)


@pytest.mark.parametrize("value", ["", "a\nb", "a\0b"])
def test_a_multi_line_value_is_refused(value: str) -> None:
    with pytest.raises(SshConfigError, match="expected a value for Ciphers"):
        Request("relay", options=(("Ciphers", value),))


def test_an_error_shows_a_value_without_control_characters() -> None:
    with pytest.raises(SshConfigError) as error_info:
        Request("a\x1b[2Jb")

    assert error_info.value.message.isprintable()
