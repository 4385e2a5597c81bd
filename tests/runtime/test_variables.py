"""The values of variables, as the programs that set them write them."""

import pytest

from runtime.variables import read_variable


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("20", "20"),
        ('"20"', "20"),
        ("'20'", "20"),
        ('"correct horse"\r', "correct horse"),
        ('\ufeff "20" ', "20"),
        ('"it\'s"', "it's"),
        ('"', '"'),
        ("'20\"", "'20\""),
        ('"a" or "b"', '"a" or "b"'),
        (" 20 ", " 20 "),
        ('""', None),
        ("''\r", None),
        ("", None),
        ("\r", None),
        (None, None),
    ],
)
def test_variable_counts_without_the_quotes_of_an_env_file(given: str | None, value: str | None) -> None:
    assert read_variable("CHAT_RATE", given) == value


@pytest.mark.parametrize("link", ["tcp://10.96.3.4:9999", "udp://10.96.3.4:53", "tcp://[fd00::1]:9999"])
def test_port_of_a_service_of_that_name_counts_as_not_set(link: str) -> None:
    assert read_variable("CHAT_PORT", link) is None
    assert read_variable("CHAT_SERVER", link) == link


@pytest.mark.parametrize("given", ["9999", "http://10.96.3.4:9999", "tcp://10.96.3.4"])
def test_any_other_port_is_left_to_the_setting(given: str) -> None:
    assert read_variable("CHAT_PORT", given) == given
