"""The seam's tests run on asyncio's own loop and on uvloop; and certificates for those over TLS."""

import asyncio
import ssl
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.server.net.frozen_loop import FrozenLoop

try:
    import uvloop
except ImportError:  # as on Windows
    BOTH: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
else:
    BOTH = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
LOOPS = {**BOTH, "frozen": FrozenLoop}


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each test on both loops, if its mark names none."""
    marks = item.iter_markers("asyncio")
    return next((LOOPS for mark in marks if "loop_factories" in mark.kwargs), BOTH)


class Authority:
    """Issues certificates. `trusting` is what a client has that trusts it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._make("ca", "-x509", "-days", "2", "-subj", "/CN=An authority", "-addext", "keyUsage=critical,keyCertSign")
        self._make("leaf", "-subj", "/CN=A recipient")
        self.trusting = ssl.create_default_context(cafile=directory / "ca.pem")

    def issue(self, *names: str, days: int = 2) -> ssl.SSLContext:
        """Give what serves a certificate for these names, as `DNS:bob.example` or `IP:127.0.0.1`."""
        lines = [f"subjectAltName={','.join(names)}", "authorityKeyIdentifier=keyid", "basicConstraints=CA:FALSE"]
        (self._directory / "extensions").write_text("\n".join(lines))
        self._run(
            "x509", "-req", "-in", "leaf.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-extfile", "extensions", "-days", str(days), "-out", "issued.pem",
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._directory / "issued.pem", self._directory / "leaf.key")
        return context

    def sign_itself(self, name: str) -> ssl.SSLContext:
        """Give what serves a self-signed certificate for this name."""
        self._make("own", "-x509", "-days", "2", "-subj", "/CN=A recipient", "-addext", f"subjectAltName={name}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._directory / "own.pem", self._directory / "own.key")
        return context

    def _make(self, name: str, *options: str) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")
        self._run("req", *key, "-out", f"{name}.pem", *options)

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self._directory, check=True, capture_output=True)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def for_bob(authority: Authority) -> ssl.SSLContext:
    """What serves a certificate for bob.example and 127.0.0.1."""
    return authority.issue("DNS:bob.example", "IP:127.0.0.1")
