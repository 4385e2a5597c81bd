import os
import pwd
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from client.__main__ import choose_face
from client.settings import NO_STATE, Face, Settings, command, user_state_dir


def load(*flags: str, **variables: str) -> tuple[Settings | None, Result]:
    """Read settings as the command line does; None when they were refused."""
    taken: list[Settings] = []

    def run(settings: Settings) -> int:
        taken.append(settings)
        return 0

    nothing_else: dict[str, str | None] = {row.metadata["variable"]: None for row in fields(Settings)}
    result = CliRunner().invoke(command(run), flags, env=nothing_else | variables)
    return (taken[0] if taken else None), result


def test_without_any_the_defaults_hold() -> None:
    assert load()[0] == Settings()


def test_a_variable_is_read() -> None:
    settings, _ = load(CHAT_SERVER="https://chat.example/room/", CHAT_CLIENT_PORT="8080", CHAT_NAME=" Alice ")
    assert settings == Settings(server="https://chat.example/room", client_port=8080, name="Alice")


@pytest.mark.parametrize(
    "given",
    ["http://a:1", "http://a:1/", "http://a:1/rpc", "http://a:1/rpc/", "HTTP://a:1"],
)
def test_server_address_with_or_without_the_endpoint_is_the_same(given: str) -> None:
    settings, _ = load(CHAT_SERVER=given)
    assert settings is not None
    assert settings.server.lower() == "http://a:1"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("localhost:9999", "expected an address that begins with http:// or https://"),
        ("ws://localhost:9999", "expected an address that begins with http:// or https://"),
        ("http://local host", "without blanks"),
        ("http://a:0", "a port from 1 to 65535"),
        ("http://a:99999", "a port from 1 to 65535"),
        ("http://::1:9999", "brackets around an IPv6 address"),
        ("http://me:secret@a", "without user name"),
        ("http://a/?b", "without user name, ? or #"),
        ("http://", "a host name"),
        ("http://a..b", "a host name"),
        (f"http://{'a' * 64}.example", "a host name"),
    ],
)
def test_server_address_that_is_none_is_told_what_is_wrong_with_it(given: str, told: str) -> None:
    _, result = load(CHAT_SERVER=given)
    assert told in " ".join(result.stderr.split())


def test_a_flag_wins_over_its_variable() -> None:
    settings, _ = load("--name", "Bob", CHAT_NAME="Alice")
    assert settings == Settings(name="Bob")


@pytest.mark.parametrize("row", fields(Settings), ids=lambda row: row.name)
def test_an_empty_variable_counts_as_not_set(row: object) -> None:
    assert load(**{row.metadata["variable"]: ""})[0] == Settings()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CHAT_FACE", "window"),
        ("CHAT_SERVER", "localhost:9999"),
        ("CHAT_SERVER", "ftp://localhost"),
        ("CHAT_SERVER", "http://"),
        ("CHAT_SERVER", "http://host:99999"),
        ("CHAT_SERVER", "http://[::1"),
        ("CHAT_SERVER", "http://user:secret@host"),
        ("CHAT_SERVER", "http://host/?a=b"),
        ("CHAT_NAME", "   "),
        ("CHAT_NAME", "a" * 33),
        ("CHAT_NAME", "a\x1b[2J"),
        ("CHAT_NAME", "a:b"),
        ("CHAT_JOIN_KEY", "a\nb"),
        ("CHAT_CLIENT_PORT", "abc"),
        ("CHAT_CLIENT_PORT", "-1"),
        ("CHAT_CLIENT_PORT", "65536"),
        ("CHAT_CLIENT_PORT", "٣"),
        ("CHAT_CALLBACK", "my-host:8080"),
        ("CHAT_CALLBACK", ":0"),
        ("CHAT_CALLBACK", ":http"),
        ("CHAT_PAGE_HOSTS", "http://localhost"),
        ("CHAT_PAGE_HOSTS", " , "),
        ("CHAT_PAGE_KEY", "person"),
        ("CHAT_STATE_DIR", "a\nb"),
        ("CHAT_BELL", "loud"),
    ],
)
def test_a_bad_value_is_refused_with_a_message_that_names_the_setting(variable: str, value: str) -> None:
    settings, result = load(**{variable: value})
    assert settings is None
    assert result.exit_code == 2
    assert variable in result.stderr
    assert "expected" in result.stderr


def test_a_bad_join_key_is_not_repeated() -> None:
    _, result = load(CHAT_JOIN_KEY="hush\x07")
    assert "hush" not in result.output


def test_callback_and_page_hosts_take_their_forms() -> None:
    settings, _ = load("--callback", ":8085", "--page-hosts", "Chat.Example, [::1]:8081")
    assert settings == Settings(callback=":8085", page_hosts=("chat.example", "[::1]:8081"))


@pytest.mark.parametrize(("who", "key"), [("ask", None), ("container", "hush")])
def test_pages_key_is_the_clients_own_only_if_so_set(who: str, key: str | None) -> None:
    settings, _ = load(CHAT_JOIN_KEY="hush", CHAT_PAGE_KEY=who)
    assert settings is not None
    assert (settings.pages_key, settings.newcomers_key) == (key, "hush")


def test_seats_are_remembered_in_the_users_own_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    for base, directory in (
        ("/states", "/states"),
        ("", "/home/alice/.local/state"),
        ("x", "/home/alice/.local/state"),
    ):
        monkeypatch.setenv("XDG_STATE_HOME", base)
        assert user_state_dir() == Path(directory, "ringback")


def test_remembering_can_be_switched_off() -> None:
    settings, _ = load("--state-dir", "none", CHAT_STATE_DIR="/state")
    assert settings == Settings(state_dir=NO_STATE)


@pytest.mark.parametrize(
    ("flags", "variables", "taken"),
    [
        (("--no-color", "--bell"), {}, Settings(no_color=True, bell=True)),
        ((), {"NO_COLOR": "0", "CHAT_BELL": "0"}, Settings(no_color=True)),  # whatever it says (no-color.org)
        ((), {"NO_COLOR": "anything", "CHAT_BELL": "ON"}, Settings(no_color=True, bell=True)),
        (("--bell",), {"CHAT_BELL": "off"}, Settings(bell=True)),
    ],
)
def test_colours_are_switched_off_and_the_bell_on(
    flags: tuple[str, ...], variables: dict[str, str], taken: Settings
) -> None:
    assert load(*flags, **variables)[0] == taken


def test_help_tells_each_setting_with_its_variable_and_its_default() -> None:
    _, result = load("--help")
    told = " ".join(result.output.split())
    for row in fields(Settings):
        assert f"--{row.name.replace('_', '-')} " in told
        assert f"env var: {row.metadata['variable']}; default: (" in told


@pytest.mark.parametrize(
    ("asked", "stdin_is_terminal", "chosen"),
    [
        (Face.AUTO, True, Face.TERMINAL),
        (Face.AUTO, False, Face.HEADLESS),
        (Face.TERMINAL, False, Face.TERMINAL),
        (Face.PAGE, True, Face.PAGE),
    ],
)
def test_auto_is_a_terminal_where_stdin_is_one(asked: Face, stdin_is_terminal: bool, chosen: Face) -> None:
    assert choose_face(Settings(face=asked), stdin_is_terminal).face is chosen


def test_a_join_key_is_read_from_a_file_without_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sesame\n")
    settings, result = load(CHAT_JOIN_KEY_FILE=str(tmp_path / "key"))
    assert settings is not None, result.output
    assert settings.newcomers_key == "sesame"


@pytest.mark.parametrize("content", [b"", b"\n", b"s\xffcret", b"se\ncret"])
def test_a_file_that_holds_no_key_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    settings, result = load(CHAT_JOIN_KEY_FILE=str(tmp_path / "key"))
    assert settings is None
    assert "CHAT_JOIN_KEY_FILE" in result.output
    assert "cret" not in result.output


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings, result = load(CHAT_JOIN_KEY_FILE=str(tmp_path / "none"))
    assert settings is None
    assert "No such file" in result.output


def test_a_join_key_and_a_file_with_one_are_too_much(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("one")
    settings, result = load(CHAT_JOIN_KEY="another", CHAT_JOIN_KEY_FILE=str(tmp_path / "key"))
    assert settings is None
    assert "not both" in result.output


@pytest.mark.parametrize("around", ["{}\r", "\ufeff{}", " {} ", "\ufeff{}\r\n"])
def test_setting_with_a_mark_or_line_break_around_it_counts_without(around: str) -> None:
    settings, result = load("--server", around.format("http://a:1"), CHAT_NAME=around.format("A b"))
    assert settings is not None, result.output
    assert (settings.server, settings.name) == ("http://a:1", "A b")


def test_variable_of_a_carriage_return_alone_counts_as_not_set() -> None:
    assert load(CHAT_JOIN_KEY="\r", CHAT_NAME="\r\n", CHAT_CLIENT_PORT="\ufeff")[0] == Settings()


def test_variables_of_an_env_file_and_of_a_service_called_chat_client_are_read() -> None:
    quoted = {"CHAT_NAME": '"Ann Smith"', "CHAT_SERVER": "'http://a:1'", "CHAT_BELL": '"1"'}
    settings, result = load(CHAT_CLIENT_PORT="tcp://10.96.3.4:8080", **quoted)
    assert settings == Settings(name="Ann Smith", server="http://a:1", bell=True), result.output


def test_variable_name_with_a_byte_order_mark_is_refused() -> None:
    result = load(**{"\ufeffCHAT_NAME": "a"})[1]
    assert result.exit_code == 2
    assert "byte order mark" in result.output


@pytest.mark.parametrize(
    ("given", "home"), [("~/a b/state", "/home/me"), ("~root/state", "/no/such"), ("~/state", None)]
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
    settings, result = load(CHAT_STATE_DIR=given)
    assert settings is not None, result.output
    assert settings.state_dir == Path(path)


@pytest.mark.parametrize(("given", "home"), [("~nobody-of-that-name/x", "/home/me"), ("~/x", ""), ("~", "~")])
def test_path_with_a_tilde_and_no_home_directory_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: str, home: str
) -> None:
    monkeypatch.setenv("HOME", home)
    for _, result in (load(CHAT_STATE_DIR=given), load(CHAT_JOIN_KEY_FILE=given)):
        assert result.exit_code == 2
        assert "there is no such home directory" in result.output


def test_join_key_file_below_the_home_directory_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_bytes("secret\r\n".encode("utf-16"))
    settings, result = load(CHAT_JOIN_KEY_FILE="~/key")
    assert settings is not None, result.output
    assert settings.newcomers_key == "secret"
