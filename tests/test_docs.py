"""The docs are under test: every method, error and setting has its line, and the examples are run."""

import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import pytest

from client.settings import Settings
from protocol.errors import ErrorCode
from protocol.signing import decode_secret, verify
from scripts.tree import tree
from server.chat.methods import Methods
from server.delivery.states import TRANSITIONS
from server.settings import TABLE
from tests.fakes import RunningServer

ROOT = Path(__file__).parent.parent
EXAMPLE = re.compile(r"```sh\n(?P<command>curl --json [^\n]+)\n```\n```json\n(?P<answer>[^\n]+)\n```")
VOLATILE = {"token", "secret", "epoch", "sent_at"}
# README's participant has the id that the server made for it; the docs show one such id.
MADE_ID = re.compile(r"[a-z]+-[0-9a-f]{8}")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", ["docs/protocol.md", "README.md"])
async def test_the_examples_are_real(server: RunningServer, document: str) -> None:
    examples = EXAMPLE.findall(read(document))
    made: dict[str, str] = {}
    assert examples
    for command, shown in examples:
        answer = await run(server, command, made)
        if "token" in answer.get("result", {}):
            made.setdefault("TOKEN", answer["result"]["token"])
            made.setdefault("ID", answer["result"]["id"])
        assert without_volatile(answer) == without_volatile(msgspec.json.decode(shown)), command


async def run(server: RunningServer, command: str, made: dict[str, str]) -> Any:
    words = shlex.split(command)
    body = words[words.index("--json") + 1]
    headers = dict(words[index + 1].split(": ", 1) for index, word in enumerate(words) if word == "-H")
    for name, value in made.items():
        body = body.replace(f"${name}", value)
        headers = {key: text.replace(f"${name}", value) for key, text in headers.items()}
    status, raw = await server.post(body.encode(), headers=headers)
    assert status == 200
    return msgspec.json.decode(raw)


def without_volatile(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "…" if key in VOLATILE else without_volatile(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_volatile(inner) for inner in value]
    return MADE_ID.sub("…", value) if isinstance(value, str) else value


def test_the_signature_that_is_shown_is_of_the_secret_that_is_shown() -> None:
    protocol = read("docs/protocol.md")
    secrets = re.findall(r"`(whsec_[A-Za-z0-9+/=]{20,})`", protocol)
    head, body = re.findall(r"```http\n(.+?)\n\n(.+?)\n```", protocol, re.DOTALL)[0]
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    verify(decode_secret(secrets[0]), headers, body.encode(), float(headers["webhook-timestamp"]))


def test_every_method_has_its_line() -> None:
    protocol = read("docs/protocol.md")
    for method in Methods(None, None, None, None).table():  # type: ignore[arg-type]
        assert re.search(rf"^\| `{method}` \|", protocol, re.MULTILINE), method


def test_every_error_has_its_line() -> None:
    protocol = read("docs/protocol.md")
    for error in ErrorCode:
        again = "yes" if error.retryable else "no"
        assert re.search(rf"^\| {error.value} \| {error.message}.*\| {again} \|$", protocol, re.MULTILINE), error


def test_every_setting_of_the_server_has_its_line() -> None:
    settings = read("docs/settings.md")
    for setting in TABLE:
        assert re.search(rf"^\| `{setting.variable}` \| `{setting.flag}` \|", settings, re.MULTILINE), setting.variable


def test_every_setting_of_the_client_has_its_line() -> None:
    settings = read("docs/settings.md")
    for row in fields(Settings):
        flag = f"--{row.name.replace('_', '-')}"
        assert re.search(rf"^\| `{row.metadata['variable']}` \| `{flag}` \|", settings, re.MULTILINE), flag


def test_the_states_of_a_delivery_are_shown_as_they_are() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|.*\|$", read("docs/architecture.md"), re.MULTILINE)
    shown = {row for row in rows if row[0] in {state.value for state, _ in TRANSITIONS}}
    assert shown == {(state.value, event.value, after.value) for (state, event), after in TRANSITIONS.items()}


def test_links_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *ROOT.glob("docs/*.md"), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_architecture_shows_the_tree_as_it_is() -> None:
    assert tree() in read("docs/architecture.md"), "paste what `python -m scripts.tree` prints"


def test_glossary_names_classes_and_functions_that_exist() -> None:
    product = "".join(
        path.read_text() for top in ("server", "client", "protocol") for path in (ROOT / top).rglob("*.py")
    )
    cells = [row.split("|")[3] for row in read("docs/glossary.md").splitlines() if row.startswith("| ")]
    names = re.findall(r"`([A-Z]\w+|new_\w+)", "".join(cells))
    assert len(names) > 10
    assert [name for name in names if not re.search(rf"(?:class|def) {name}\b|^{name}\b.*=", product, re.M)] == []
