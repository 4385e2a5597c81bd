"""Names: what the server takes, the client lets through."""

import pytest
from click.testing import CliRunner

from client.faces.text import printable
from client.settings import Settings, command
from server.chat.names import normalize_name
from tests.server.chat.test_names import NEEDED


@pytest.mark.parametrize("name", NEEDED, ids=ascii)
def test_name_that_the_server_takes_is_taken_and_shown_by_the_client(name: str) -> None:
    taken: list[str | None] = []

    def run(settings: Settings) -> int:
        taken.append(settings.name)
        return 0

    result = CliRunner().invoke(command(run), ["--name", normalize_name(name)])
    assert taken == [name], result.output
    assert printable(name) == name
