"""Allowed imports: `__main__` -> `app` -> modules with I/O -> pure modules -> `protocol`. No side imports the other.

Both sides may import `runtime`, which imports none of our packages; pure modules and `protocol` may not import it.
"""

import ast
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("protocol", "runtime", "server", "client")
# Modules that decide and leave all I/O, time and chance to their callers.
PURE = {
    f"server.{module}"
    for module in (
        "callbacks.address_policy", "callbacks.callback_url", "callbacks.exchange", "chat.confusables", "chat.joiners",
        "chat.members", "chat.names", "chat.rate_limit", "chat.store_clock", "delivery.outbox",
        "delivery.responses", "delivery.states", "delivery.webhook", "inbound.caller", "inbound.connection_limits",
        "inbound.large_requests", "inbound.params", "message_log.entry", "message_log.numbering", "net.addresses",
    )
}  # fmt: skip
# A pure module gets the time and random bytes as arguments, and neither waits nor stores. (datetime is not here: it
# formats times that are given.)
WITHOUT_IO = {"asyncio", "socket", "select", "selectors", "ssl", "threading", "concurrent", "multiprocessing"}
WITHOUT_IO |= {"subprocess", "time", "random", "secrets", "sqlite3", "aiohttp", "os", "pathlib", "logging", "io"}
# The one place that may choose an engine or start a background task is the composition root.
ONLY_IN_APP = {
    "server.message_log.memory",
    "server.message_log.sqlite",
    "server.delivery.broadcaster",
    "server.chat.maintenance",
    "server.inbound.routes",
}

# Test modules that cover several modules together.
CROSSING = {
    "client.faces.pipe.test_pipes", "client.faces.terminal.test_away", "client.faces.terminal.test_colors",
    "client.faces.terminal.test_failing", "client.faces.terminal.test_history",
    "client.faces.terminal.test_hostile_terminal", "client.faces.terminal.test_keys", "client.faces.web.test_browsers",
    "client.faces.web.test_restart", "client.session.test_resume", "client.test_main",
    "server.callbacks.test_https", "server.chat.test_kept_names", "server.delivery.test_delivery_machine",
    "server.test_callbacks", "server.test_main", "server.test_restart", "server.test_store",
}  # fmt: skip


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for top in PRODUCT for path in sorted((ROOT / top).rglob("*.py"))}


def names_in(node: ast.AST, package: str) -> Iterable[str]:
    """Modules that an import statement may load; `from a import b` counts as `a.b` too, which may be a module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parents = package.split(".")
            base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def imports_of(module: str) -> frozenset[str]:
    path = SOURCES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(name for node in ast.walk(ast.parse(path.read_text())) for name in names_in(node, package))


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def imports_beyond(package: str, *allowed: str) -> dict[str, set[str]]:
    """What modules of a package import of our own and of other people's that is not in these packages."""
    return offences(package, lambda name: not any(is_in(name, one) for one in (*sys.stdlib_module_names, *allowed)))


def imports_from(package: str, *forbidden: str) -> dict[str, set[str]]:
    """What modules of a package import from these packages."""
    return offences(package, lambda name: any(is_in(name, one) for one in forbidden))


def offences(package: str, is_one: Callable[[str], bool]) -> dict[str, set[str]]:
    found = {module: set(filter(is_one, imports_of(module))) for module in SOURCES if is_in(module, package)}
    assert found, f"no module is in {package}"
    return {module: names for module, names in found.items() if names}


def importers_of(module: str) -> set[str]:
    return {name for name in SOURCES if any(is_in(found, module) for found in imports_of(name))}


def test_imports_are_seen() -> None:
    assert "server.message_log.entry" in imports_of("server.delivery.outbox")
    assert "asyncio" in imports_of("server.delivery.delivery")
    assert "server.delivery.delivery" in importers_of("server.delivery.outbox")


def test_protocol_imports_only_the_standard_library_and_msgspec() -> None:
    assert imports_beyond("protocol", "msgspec", "protocol") == {}


def test_runtime_imports_only_the_standard_library_click_and_aiohttp() -> None:
    assert imports_beyond("runtime", "aiohttp", "click", "runtime") == {}


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_module_imports_only_pure_modules_msgspec_and_unicode_tables(module: str) -> None:
    packages = {"server", *(name.rpartition(".")[0] for name in PURE)}
    tables = ("confusable_homoglyphs.confusables", "unicodedataplus", "idna")
    names = imports_beyond(module, "msgspec", *tables, "protocol", *PURE).get(module, set())
    assert names - packages == set()


@pytest.mark.parametrize("package", ["protocol", *sorted(PURE)])
def test_pure_module_does_without_io_clock_and_chance(package: str) -> None:
    assert imports_from(package, *WITHOUT_IO) == {}


def test_server_and_client_never_import_each_other() -> None:
    assert imports_from("server", "client") == {}
    assert imports_from("client", "server") == {}


@pytest.mark.parametrize("package", PRODUCT)
def test_the_product_imports_neither_benchmarks_nor_tests(package: str) -> None:
    assert imports_from(package, "bench", "tests") == {}


@pytest.mark.parametrize("side", ["server", "client"])
def test_only_main_imports_app_and_nobody_imports_main(side: str) -> None:
    assert importers_of(f"{side}.app") == {f"{side}.__main__"}
    assert importers_of(f"{side}.__main__") == set()


@pytest.mark.parametrize("module", sorted(ONLY_IN_APP & SOURCES.keys()))
def test_only_the_composition_root_knows_engines_edges_and_background_tasks(module: str) -> None:
    assert importers_of(module) == {"server.app"}


def test_the_engines_of_the_log_know_only_themselves_and_pure_modules() -> None:
    assert imports_from("server.message_log", "client", "aiohttp") == {}
    ours = offences("server.message_log", lambda name: name in SOURCES and is_in(name, "server"))
    beyond = {name for names in ours.values() for name in names if not is_in(name, "server.message_log")}
    assert {name for name in beyond if SOURCES[name].name != "__init__.py"} - PURE == set()


@pytest.mark.parametrize("package", PRODUCT)
def test_test_modules_stand_where_their_modules_do(package: str) -> None:
    tests = (ROOT / "tests" / package).rglob("test_*.py")
    names = {".".join(path.relative_to(ROOT / "tests").with_suffix("").parts) for path in tests}
    modules = {name: ".".join([*name.split(".")[:-1], name.rpartition(".test_")[2]]) for name in names - CROSSING}
    assert {name for name, module in modules.items() if module not in SOURCES} == set()
