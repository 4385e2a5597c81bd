import re
from dataclasses import fields
from pathlib import Path

import pytest

import client.settings
import server.settings

ROOT = Path(__file__).resolve().parent.parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
OF_COMPOSE = {"CHAT_PUBLISH", "CHAT_PUBLISH_PAGE", "CHAT_PUBLISH_PAGES"}


def variables(name: str) -> set[str]:
    return set(re.findall(r"\bCHAT_[A-Z_]+", (ROOT / name).read_text()))


def settings() -> set[str]:
    of_client = {row.metadata["variable"] for row in fields(client.settings.Settings)}
    return of_client | {setting.variable for setting in server.settings.TABLE}


@pytest.mark.parametrize("name", ["docker-compose.yml", "Dockerfile.server", "Dockerfile.client"])
def test_what_containers_are_given_are_settings(name: str) -> None:
    assert variables(name) - OF_COMPOSE <= settings()


def test_the_example_of_env_tells_every_variable_that_compose_reads() -> None:
    set_by_compose = {"CHAT_SERVER"}
    assert variables(".env.example") == variables("docker-compose.yml") - set_by_compose


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_package_is_locked_to_a_version_with_hashes(lock: Path) -> None:
    lines = lock.read_text().replace("\\\n", "").splitlines()
    packages = [line for line in lines if not line.lstrip().startswith("#")]
    assert packages
    for package in packages:
        assert re.fullmatch(r"[a-z0-9.-]+==[^ ;]+ (; [^#]+)?( *--hash=sha256:[0-9a-f]{64})+", package)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_no_index_and_no_place_on_a_disk(lock: Path) -> None:
    assert not re.search(r"://|--index|--extra|--find|--trusted|(^|\s)/", lock.read_text())


@pytest.mark.parametrize("part", ["build", "server", "client"])
def test_containers_and_developers_have_the_same_versions(part: str) -> None:
    pins = re.findall(r"^[a-z0-9.-]+==\S+", (ROOT / "requirements" / f"{part}.txt").read_text(), re.MULTILINE)
    assert set(pins) <= set(
        re.findall(r"^[a-z0-9.-]+==\S+", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE)
    )
