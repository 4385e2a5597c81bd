"""Settings from flags and environment: typed, checked, and named when they are wrong."""

import os
import pwd
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from server.settings import TABLE, Settings, command


def no_copy(_settings: Settings, _target: Path) -> None:
    raise AssertionError("nobody asked for a backup")


def no_run(_settings: Settings) -> None:
    raise AssertionError("nobody asked to run the server")


def no_kick(_settings: Settings, _member_id: str) -> None:
    raise AssertionError("nobody asked to kick anybody")


def no_release(_settings: Settings, _name: str) -> None:
    raise AssertionError("nobody asked to release a name")


def start(*arguments: str, **environment: str) -> tuple[Result, Settings | None]:
    """Run the command line; gives what it printed, and the settings if it came so far."""
    started: list[Settings] = []
    unset: dict[str, str | None] = {setting.variable: None for setting in TABLE}
    run = command(started.append, no_copy, no_copy, no_kick, no_release)
    result = CliRunner().invoke(run, arguments, env=unset | environment)
    return result, started[0] if started else None


def test_every_setting_has_a_row() -> None:
    assert [setting.field for setting in TABLE] == [field.name for field in fields(Settings)]


def test_without_any_setting_the_defaults_hold() -> None:
    assert start()[1] == Settings()


def test_help_tells_every_setting() -> None:
    text = " ".join(start("--help")[0].output.split())
    for setting in TABLE:
        assert f"{setting.flag} " in text
        assert f"[env var: {setting.variable}" in text
        assert setting.help in text


def test_an_empty_variable_counts_as_not_set() -> None:
    result, settings = start(**{setting.variable: "" for setting in TABLE})
    assert settings == Settings(), result.output


GOOD = [
    ("host", "::1", "::1"),
    ("host", "localhost", "localhost"),
    ("port", "0", 0),
    ("port", "65535", 65535),
    ("store", "memory:", "memory:"),
    ("store", "sqlite:chat.db", "sqlite:chat.db"),
    ("store", "sqlite:/a b/ü?#.db", "sqlite:/a b/ü?#.db"),
    ("callback_allow", "10.0.0.0/8, fd00::/8", (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))),
    ("callback_allow", "10.0.0.1 10.0.0.2,", (ip_network("10.0.0.1"), ip_network("10.0.0.2"))),
    ("trusted_proxies", "172.16.0.0/12", (ip_network("172.16.0.0/12"),)),
    ("join_key", "schlüssel 1", "schlüssel 1"),
    ("evict_after", "0", 0.0),
    ("rate", "0.5", 0.5),
    ("rate", "0", 0.0),
    ("max_per_address", "5", 5),
    ("max_connections", "2", 2),
    ("evict_after", "1.5", 1.5),
    ("retention_days", "0.1", 0.1),
    ("name_days", "0", 0.0),
    ("name_days", "7.5", 7.5),
    ("log_format", "json", "json"),
    ("log_level", "debug", "debug"),
    ("log_texts", "0", False),
    ("log_texts", "off", False),
    ("log_texts", "true", True),
]


@pytest.mark.parametrize(("field", "text", "value"), GOOD)
def test_a_flag_and_a_variable_are_read_alike(field: str, text: str, value: object) -> None:
    setting = next(setting for setting in TABLE if setting.field == field)
    for result, settings in (start(setting.flag, text), start(**{setting.variable: text})):
        assert settings is not None, result.output
        assert getattr(settings, field) == value


BAD = [
    ("host", "a..b"),
    ("host", "a" * 64),
    ("port", "http"),
    ("port", "-1"),
    ("port", "65536"),
    ("port", "80.5"),
    ("store", "redis:"),
    ("callback_allow", "10.0.0.1/8"),
    ("callback_allow", "example.org"),
    ("callback_allow", "10.0.0.0/33"),
    ("trusted_proxies", "all"),
    ("join_key", "\udcff"),
    ("join_key_file", "/no/such/file"),
    ("evict_after", "soon"),
    ("evict_after", "-1"),
    ("evict_after", "nan"),
    ("evict_after", "inf"),
    ("rate", "-1"),
    ("rate", "nan"),
    ("max_per_address", "-1"),
    ("max_connections", "1"),
    ("retention_days", "0"),
    ("retention_days", "nan"),
    ("retention_days", "Infinity"),
    ("name_days", "-1"),
    ("name_days", "nan"),
    ("log_format", "xml"),
    ("log_level", "loud"),
    ("log_texts", "perhaps"),
]


@pytest.mark.parametrize(("field", "text"), BAD)
def test_a_bad_value_is_told_with_flag_and_variable(field: str, text: str) -> None:
    setting = next(setting for setting in TABLE if setting.field == field)
    for result, settings in (start(setting.flag, text), start(**{setting.variable: text})):
        assert (result.exit_code, settings) == (2, None)
        assert f"'{setting.flag}' (env var: '{setting.variable}')" in result.output


@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        ("port", "http", "'http' is not a whole number from 0 to 65535"),
        ("max_connections", "1", "'1' is not a whole number from 2 on"),
        ("rate", "-1", "'-1' is not a number from 0 on"),
        ("rate", "nan", "'nan' is not a number from 0 on"),
        ("retention_days", "0", "'0' is not a number above 0"),
    ],
)
def test_number_out_of_bounds_is_refused_with_the_bounds(field: str, text: str, problem: str) -> None:
    assert problem in start(**{f"CHAT_{field.upper()}": text})[0].output


def test_a_bad_join_key_is_not_shown() -> None:
    assert "secret" not in start(CHAT_JOIN_KEY="secret\udcff")[0].output


def test_a_join_key_is_read_from_a_file_without_its_last_line_break(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("schlüssel 1\n", encoding="utf-8")
    for result, settings in (start("--join-key-file", str(file)), start(CHAT_JOIN_KEY_FILE=str(file))):
        assert settings is not None, result.output
        assert settings.newcomers_key == "schlüssel 1"


@pytest.mark.parametrize(("content", "problem"), [(b"\n", "is empty"), (b"s\xffcret", "is not UTF-8")])
def test_a_file_that_holds_no_key_is_told_and_not_shown(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    result, settings = start(CHAT_JOIN_KEY_FILE=str(file))
    assert (result.exit_code, settings) == (2, None)
    assert problem in result.output
    assert "cret" not in result.output


def test_a_join_key_and_a_file_with_one_are_too_much(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("one")
    result, settings = start(CHAT_JOIN_KEY="another", CHAT_JOIN_KEY_FILE=str(file))
    assert (result.exit_code, settings) == (2, None)
    assert "not both" in result.output


def test_a_flag_wins_over_its_variable() -> None:
    result, settings = start("--port", "1", CHAT_PORT="2", CHAT_HOST="::1")
    assert settings is not None, result.output
    assert (settings.port, settings.host) == (1, "::1")
    assert start("--port", "1", CHAT_PORT="nonsense")[1] == Settings(port=1)


def test_what_is_no_setting_is_refused() -> None:
    for argument in ("--colour", "extra"):
        assert start(argument)[0].exit_code == 2


@pytest.mark.parametrize("around", ["{}\r", "\ufeff{}", " {} ", "\ufeff{}\r\n"])
def test_setting_with_a_mark_or_line_break_around_it_counts_without(around: str) -> None:
    result, settings = start("--host", around.format("::1"), CHAT_STORE=around.format("sqlite:a b.db"))
    assert settings is not None, result.output
    assert (settings.host, settings.store) == ("::1", "sqlite:a b.db")


def test_variable_of_a_carriage_return_alone_counts_as_not_set() -> None:
    assert start(CHAT_JOIN_KEY="\r", CHAT_STORE="\r\n", CHAT_PORT="\ufeff")[1] == Settings()


def test_variables_of_an_env_file_and_of_a_service_called_chat_are_read() -> None:
    quoted = {"CHAT_JOIN_KEY": '"correct horse"', "CHAT_RATE": "'5'", "CHAT_STORE": '"memory:"'}
    result, settings = start(CHAT_PORT="tcp://10.96.3.4:9999", **quoted)
    assert settings == Settings(join_key="correct horse", rate=5.0, store="memory:"), result.output


def test_variable_name_with_a_byte_order_mark_is_refused() -> None:
    result = start(**{"\ufeffCHAT_PORT": "1"})[0]
    assert result.exit_code == 2
    assert "byte order mark" in result.output


@pytest.mark.parametrize(
    ("given", "home"), [("~/a b/chat.db", "/home/me"), ("~root/chat.db", "/no/such"), ("~/chat.db", None)]
)
def test_path_with_a_tilde_is_below_the_home_directory(
    monkeypatch: pytest.MonkeyPatch, given: str, home: str | None
) -> None:
    """Without HOME the home directory is that of the password database."""
    expected = pwd.getpwnam("root").pw_dir if given.startswith("~root") else home or pwd.getpwuid(os.getuid()).pw_dir
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)
    path = f"{expected}/{given.partition('/')[2]}"
    result, settings = start(CHAT_STORE=f"sqlite:{given}")
    assert settings is not None, result.output
    assert settings.store == f"sqlite:{path}"
    copied: list[Path] = []
    unset: dict[str, str | None] = {setting.variable: None for setting in TABLE}
    program = command(no_run, lambda _settings, target: copied.append(target), no_copy, no_kick, no_release)
    assert CliRunner().invoke(program, ["backup", given], env=unset).exit_code == 0
    assert copied == [Path(path)]


@pytest.mark.parametrize(("given", "home"), [("~nobody-of-that-name/x", "/home/me"), ("~/x", ""), ("~", "~")])
def test_path_with_a_tilde_and_no_home_directory_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: str, home: str
) -> None:
    monkeypatch.setenv("HOME", home)
    for result, _ in (start(CHAT_STORE=f"sqlite:{given}"), start(CHAT_JOIN_KEY_FILE=given), start("backup", given)):
        assert result.exit_code == 2
        assert "there is no such home directory" in result.output


def test_join_key_file_below_the_home_directory_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfsecret\r\n")
    result, settings = start(CHAT_JOIN_KEY_FILE="~/key")
    assert settings is not None, result.output
    assert settings.newcomers_key == "secret"
