"""The HTTP edge of the page: hosts, origins, headers, files, the cookie."""

import asyncio
import gzip
import re
import socket
from xml.etree.ElementTree import fromstring

import pytest
from aiohttp import WSMsgType, web
from yarl import URL

from client.faces.web.cookies import MAX_OTHERS
from client.faces.web.icons import with_counts
from client.faces.web.page import MAX_WARNINGS, SECURITY_HEADERS, STATIC
from client.session.registration_file import by_cookie
from tests.client.faces.web.conftest import COOKIE, FORMER_COOKIE, Browser, NewBrowser
from tests.client.faces.web.fake_participant import Participants, a_message


def policy() -> dict[str, list[str]]:
    """Give the Content Security Policy as directives and their values."""
    directives = SECURITY_HEADERS["Content-Security-Policy"].split("; ")
    return {name: values for name, *values in map(str.split, directives)}


def test_the_policy_allows_the_pages_own_files_and_its_own_server_and_nothing_else() -> None:
    assert policy() == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["'none'"],
    }


def test_nothing_is_guessed_told_or_lent_to_other_origins() -> None:
    assert SECURITY_HEADERS["X-Content-Type-Options"] == "nosniff"
    assert SECURITY_HEADERS["Referrer-Policy"] == "no-referrer"
    assert SECURITY_HEADERS["Cross-Origin-Resource-Policy"] == "same-origin"
    assert SECURITY_HEADERS["Cross-Origin-Opener-Policy"] == "same-origin"


async def test_the_page_is_served_with_its_security_headers(browser: Browser) -> None:
    answer = await browser.http.get("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "Set-Cookie" not in answer.headers
    assert "<title>Ringback</title>" in await answer.text()


@pytest.mark.parametrize(
    ("file", "content_type"),
    [
        ("main.js", "text/javascript; charset=utf-8"),
        ("page.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml; charset=utf-8"),
        ("icon-3.svg", "image/svg+xml; charset=utf-8"),
        ("icon-many.svg", "image/svg+xml; charset=utf-8"),
    ],
)
async def test_a_file_of_the_page_has_its_content_type(browser: Browser, file: str, content_type: str) -> None:
    answer = await browser.http.get(f"/static/{file}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/static/none.js", "/static/..%2fpage.py", "/static/%2e%2e%2fpage.py", "/static/"])
async def test_nothing_else_is_served(browser: Browser, path: str) -> None:
    answer = await browser.http.get(URL(browser.origin + path, encoded=True))
    assert answer.status == 404


async def test_a_file_that_is_not_there_is_refused_with_the_headers_too(browser: Browser) -> None:
    answer = await browser.http.get("/static/none.js")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:81", "127.0.0.1:8080", "[::1]:8080", "[::1]", "chat.example:8443"]
)
async def test_the_page_answers_to_its_own_hosts(browser: Browser, host: str) -> None:
    assert (await browser.http.get("/", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "localhost.",
        "chat.example",
        "chat.example:80",
        "[::2]",
        "x:localhost",
        "",
    ],
)
async def test_the_page_refuses_any_other_host(browser: Browser, host: str) -> None:
    for path in ("/", "/static/main.js", "/ws"):
        answer = await browser.http.get(path, headers={"Host": host})
        assert answer.status == 421
        assert "CHAT_PAGE_HOSTS" in await answer.text()
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


FOREIGN_ORIGINS = [
    "null", "http://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "http://HOST.evil.example",
    "http://localhost:PORT", "http://evil@HOST", "http://HOST/", "http://HOST http://evil.example", "HOST", "file://",
    "ws://HOST", "",
]  # fmt: skip


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
async def test_the_websocket_refuses_a_foreign_page(browser: Browser, origin: str) -> None:
    own = browser.origin.removeprefix("http://")
    told = origin.replace("HOST", own).replace("PORT", own.partition(":")[2])
    answer = await browser.http.get("/ws", headers={"Origin": told})
    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize("origin", ["https://chat.example", "http://evil.example"])
@pytest.mark.parametrize("path", ["/", "/static/main.js", "/status"])
async def test_a_file_is_served_whatever_the_origin_and_read_by_its_own_page_only(
    browser: Browser, path: str, origin: str
) -> None:
    """Browsers name the origin with modules, too, and behind a proxy it may not be the Host."""
    answer = await browser.http.get(path, headers={"Origin": origin})
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


async def test_a_refused_host_is_logged_once_with_the_setting(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        await browser.http.get("/", headers={"Host": "chat.other\u202e"})
    (line,) = caplog.messages
    assert "chat.other" in line
    assert "CHAT_PAGE_HOSTS" in line
    assert line.isprintable()


async def test_a_refused_origin_is_logged_once_with_both_values_and_the_setting(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        await browser.http.get("/ws", headers={"Origin": "https://chat.other:8443"})
    (line,) = caplog.messages
    assert "https://chat.other:8443" in line
    assert browser.origin.removeprefix("http://") in line
    assert "add chat.other:8443 to CHAT_PAGE_HOSTS" in line


async def test_strangers_do_not_fill_the_log(browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(MAX_WARNINGS + 5):
        await browser.http.get("/", headers={"Host": f"host-{number}.example"})
    assert len(caplog.messages) == MAX_WARNINGS


async def test_the_status_says_why_the_websocket_is_refused(browser: Browser) -> None:
    async def problem(origin: str, **headers: str) -> str | None:
        answer = await browser.http.get("/status", params={"origin": origin}, headers=headers)
        told: str | None = (await answer.json())["problem"]
        return told

    assert await problem(browser.origin) is None
    assert "chat.other" in (await problem("https://chat.other") or "")
    assert "evil.example" in (await problem("http://evil.example", Host="evil.example") or "")


async def test_a_proxy_that_does_not_take_the_path_away_is_told_so(browser: Browser) -> None:
    answer = await browser.http.get("/team/")
    assert answer.status == 404
    assert "remove that path" in await answer.text()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_the_page_is_there_to_be_read_only(browser: Browser, method: str) -> None:
    answer = await browser.http.request(method, "/", headers={"Origin": "http://evil.example"})
    assert answer.status == 405
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]


async def test_the_websocket_refuses_a_request_without_an_origin(browser: Browser) -> None:
    assert (await browser.http.get("/ws")).status == 403


async def test_the_websocket_takes_https_before_a_proxy(browser: Browser) -> None:
    tab = await browser.tab(Origin=browser.origin.replace("http:", "https:"))
    assert (await tab.notice())[0] == "Session"


async def test_a_plain_request_to_the_websocket_is_told_so(browser: Browser) -> None:
    answer = await browser.http.get("/ws", headers={"Origin": browser.origin})
    assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")


async def test_a_websocket_whose_upgrade_a_proxy_dropped_is_logged(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    await browser.http.get("/ws", headers={"Origin": browser.origin, "Sec-WebSocket-Version": "13"})
    (line,) = caplog.messages
    assert "header Upgrade did not arrive" in line


async def test_the_websocket_gives_a_cookie_that_scripts_and_other_sites_cannot_use(browser: Browser) -> None:
    tab = await browser.tab()
    given = tab.socket._response.cookies[COOKIE]
    assert (given["httponly"], given["samesite"], given["secure"]) == (True, "Strict", "")
    assert given["path"] == ""  # the folder of /ws, as the browser sees it
    assert len(given.value) == 43  # 256 bits in base64url
    assert tab.socket._response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "header", [("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "https, http"), ("Origin", "")]
)
async def test_the_cookie_is_secure_behind_https(browser: Browser, header: tuple[str, str]) -> None:
    name, value = header
    tab = await browser.tab(**{name: value or browser.origin.replace("http:", "https:")})
    assert tab.socket._response.cookies[COOKIE]["secure"] is True


async def test_cookie_of_a_browser_that_comes_back_is_renewed(browser: Browser) -> None:
    """It outlives the browser's own end, as the seat does."""
    first = (await browser.tab()).socket._response.cookies[COOKIE]
    again = (await browser.tab()).socket._response.cookies[COOKIE]
    assert again.value == first.value
    assert int(again["max-age"]) >= 30 * 86_400


async def test_cookie_under_its_former_name_is_kept_under_the_new_one(browser: Browser) -> None:
    browser.http.cookie_jar.update_cookies({FORMER_COOKIE: "x" * 43}, URL(browser.origin))
    set_now = (await browser.tab()).socket._response.cookies
    assert set_now[COOKIE].value == "x" * 43
    assert set_now[FORMER_COOKIE]["max-age"] == "0"


async def test_cookies_of_other_pages_expire_when_there_are_too_many(browser: Browser) -> None:
    names = [f"ringback-{number:012x}" for number in range(MAX_OTHERS + 3)]
    browser.http.cookie_jar.update_cookies(dict.fromkeys([*names, "foreign"], "x" * 43), URL(browser.origin))
    set_now = (await browser.tab()).socket._response.cookies
    assert {name for name in set_now if set_now[name]["max-age"] == "0"} <= set(names)
    assert len(set_now) == 1 + 3


async def test_session_is_told_the_browsers_seats_at_other_pages(browser: Browser, participants: Participants) -> None:
    other = {"ringback-0123456789ab": "x" * 43, "foreign": "y" * 43, "ringback-damaged": "z"}
    browser.http.cookie_jar.update_cookies(other, URL(browser.origin))
    await (await browser.tab()).joined("Alice")
    assert participants.last.other_keys == (by_cookie("x" * 43),)


async def test_a_cookie_that_is_no_cookie_of_ours_is_replaced(browser: Browser) -> None:
    browser.http.cookie_jar.update_cookies({COOKIE: "short"}, URL(browser.origin))
    assert COOKIE in (await browser.tab()).socket._response.cookies


async def test_a_session_too_many_is_turned_away_in_words(new_browser: NewBrowser) -> None:
    for _ in range(3):
        await (await new_browser()).tab()
    tab = await (await new_browser()).tab()
    closed = await tab.socket.receive()
    assert (closed.type, closed.data) == (WSMsgType.CLOSE, 1013)
    assert closed.extra == "This page has 3 visitors already: try again later."


async def test_a_stop_closes_the_tabs_and_leaves_the_room(
    browser: Browser, running: web.AppRunner, participants: Participants
) -> None:
    tab = await (await browser.tab()).joined()
    stopping = asyncio.create_task(running.cleanup())
    frames = [await tab.socket.receive() for _ in range(2)]
    await stopping
    assert WSMsgType.CLOSE in {frame.type for frame in frames}
    assert participants.last.state == "left"


async def test_a_tab_that_does_not_read_is_cut_off_and_the_others_go_on(
    browser: Browser, participants: Participants
) -> None:
    quick = await (await browser.tab()).joined()
    cookie = browser.http.cookie_jar.filter_cookies(quick.socket._response.url)[COOKIE].value
    reader, writer = await _raw_websocket(browser, cookie)
    big = "x" * 4000
    for seq in range(8, 3000):
        participants.last.listener.on_message(a_message(seq, big))
        assert (await quick.notice())[0] == "ReceiveMessage"
    read = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    assert len(read) < 2992 * len(big)  # the end came before all was written


async def _raw_websocket(browser: Browser, cookie: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a WebSocket on a connection that takes in little before it is read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    host = browser.origin.removeprefix("http://")
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", int(host.split(":")[1])))
    reader, writer = await asyncio.open_connection(sock=connection, limit=4096)
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nCookie: {COOKIE}={cookie}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert b"101 Switching Protocols" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def test_the_page_is_small_and_its_modules_too() -> None:
    files = [file for file in STATIC.iterdir() if file.is_file()]
    assert sum(len(gzip.compress(file.read_bytes(), 6)) for file in files) < 40_000
    assert all(len(file.read_text().splitlines()) < 250 for file in files if file.suffix == ".js")


# Whatever makes a script or markup of text: the sinks of Trusted Types, and what they have no name for.
WAYS_FOR_MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|parseHTML|parseFromString|setHTML|srcdoc"
    r"|createContextualFragment|createHTMLDocument|createPolicy|\beval\b|\bFunction\(|\bimport\(|importScripts"
    r"|set(?:Timeout|Interval)\(\s*[\"'`]|javascript:|\.(?:src|href|action|on[a-z]+)\s*=[^=]"
    r"|window\.open|location\.(?:assign|replace)|postMessage"
)
# The first argument is a plain word: nothing that others say names a tag or an attribute.
PLAIN_FIRST_ARGUMENT = re.compile(r"\((?:tag|\"[a-z-]+\")[,)]")
NAMING = re.compile(r"createElement|setAttribute")


# What may stand there all the same: the page's own icon, and a link that somebody wrote, of http or https only.
HARMLESS = {
    "notify.js": 'byId("icon").href = `static/icon${count > 9 ? "-many" : count ? `-${count}` : ""}.svg`;',
    "draw.js": "link.href = url; // partsOf makes links of http and https only",
}


def test_text_gets_into_the_page_as_text_only() -> None:
    for file in STATIC.glob("*.js"):
        source = file.read_text()
        if file.name in HARMLESS:
            assert source.count(HARMLESS[file.name]) == 1, file
            source = source.replace(HARMLESS[file.name], "")
        assert not WAYS_FOR_MARKUP.findall(source), file
        for named in NAMING.finditer(source):
            assert PLAIN_FIRST_ARGUMENT.match(source, named.end()), file


# What makes an address one of this host's root, or of another host.
ROOTED = re.compile(r"(?:src|href|action)=\"/|url\(|(?:from|import) ?\"(?!\./)|[\"'`]/(?:static|ws|status)\b")


def test_every_address_of_the_page_is_relative() -> None:
    for file in STATIC.iterdir():
        if file.suffix in (".html", ".js", ".css"):
            assert not ROOTED.findall(file.read_text()), file


def test_the_page_has_no_script_or_style_within_and_loads_nothing_from_elsewhere() -> None:
    markup = (STATIC / "index.html").read_text()
    assert not re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)|//", markup)
    for file in STATIC.glob("*.css"):
        assert not re.findall(r"@import|url\(|expression\(", file.read_text()), file


def test_the_icon_runs_nothing_and_shows_what_is_unread() -> None:
    icon = (STATIC / "icon.svg").read_bytes()
    icons = with_counts(icon)
    assert [fromstring(drawing).findtext("{*}text") for drawing in icons.values()] == [*"123456789", "9+"]
    for drawing in (icon, *icons.values()):
        assert not re.findall(rb"<script|\son[a-z]+=|href|foreignObject|<style", drawing)
