"""The page in a browser that lacks what came after 2022, without scripts, and where a file of it does not arrive."""

import pytest
from playwright.async_api import Browser, Route, expect

from tests.e2e.conftest import NewPerson, Stack
from tests.e2e.script import Script

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# What tests/client/faces/web/test_browsers.py looks for in the sources, taken from Chromium.
LACKS = """
for (const name of ["isWellFormed", "toWellFormed"]) delete String.prototype[name];
for (const name of ["toSorted", "toReversed", "toSpliced", "with"]) delete Array.prototype[name];
for (const name of ["union", "intersection", "difference", "isSubsetOf"]) delete Set.prototype[name];
for (const name of ["canParse", "parse"]) delete URL[name];
for (const name of ["groupBy"]) { delete Object[name]; delete Map[name]; }
for (const name of ["withResolvers", "try"]) delete Promise[name];
delete AbortSignal.any; delete RegExp.escape; delete Array.fromAsync; delete Intl.Segmenter; delete crypto.randomUUID;
for (const name of ["popover", "showPopover", "hidePopover", "togglePopover"]) delete HTMLElement.prototype[name];
delete HTMLButtonElement.prototype.popoverTargetElement;
for (const name of Object.getOwnPropertyNames(Element.prototype)) {
  if (/^aria[A-Z]|^role$/.test(name)) delete Element.prototype[name];
}
window.RegExp = new Proxy(RegExp, {
  construct(target, [pattern, flags = ""]) {
    if (flags.includes("v") || /\\(\\?<[=!]/.test(pattern)) throw new SyntaxError("Invalid regular expression");
    return new target(pattern, flags);
  },
});
"""
SPOIL = """() => {
  const append = Element.prototype.append;
  Element.prototype.append = function (...parts) {
    if (parts.includes("spoil this one")) throw new TypeError("spoiled");
    append.apply(this, parts);
  };
}"""
TEXT = "see https://example.org/a。 @Alice 🎉"
STARTING = "#starting"


async def test_a_browser_of_2022_shows_everything(new_person: NewPerson, script: Script) -> None:
    alice = await new_person(lacks=LACKS, viewport={"width": 360, "height": 640})
    assert await alice.tab.evaluate("URL.canParse === undefined && !('ariaBusy' in Element.prototype)")
    await alice.join("Alice")
    await (await script.join("Curl")).say(TEXT)
    await alice.sees(TEXT)
    await expect(alice.log.get_by_role("link")).to_have_attribute("href", "https://example.org/a")
    await expect(alice.log.locator(".mentioned")).to_have_count(1)
    await alice.say("half: \ud83d")
    await alice.draft.fill("/who")
    await alice.draft.press("Enter")
    await expect(alice.tab.locator("#answer")).to_contain_text("Curl")
    await alice.tab.get_by_role("button", name="2 people").click()
    await expect(alice.tab.locator("#people")).to_be_visible()
    await alice.tab.get_by_role("button", name="Close").last.click()
    await expect(alice.tab.locator("#people")).to_be_hidden()
    await expect(alice.log).to_have_attribute("aria-busy", "false")


async def test_one_message_that_cannot_be_drawn_stops_none_of_the_others(new_person: NewPerson, script: Script) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.tab.evaluate(SPOIL)
    await script.join("Curl")
    for text in ("first", "spoil this one", "third"):
        await script.say(text)
    await alice.sees("third")
    await expect(alice.log.locator(".message .text")).to_have_text(["first", "Curl: spoil this one", "third"])


async def test_without_scripts_the_page_says_so(chromium: Browser, stack: Stack) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    tab = await context.new_page()
    await tab.goto(stack.page_address)
    await expect(tab.locator("noscript strong")).to_be_visible()
    await context.close()


@pytest.mark.parametrize(
    ("file", "body", "words"),
    [
        ("format.js", "const broken = ;", "A script failed"),
        ("main.js", None, "Could not be loaded"),
        ("format.js", None, "Could not be loaded"),
    ],
)
async def test_a_script_that_does_not_run_is_told(
    chromium: Browser, stack: Stack, file: str, body: str | None, words: str
) -> None:
    async def answer(route: Route) -> None:
        if body is None:
            await route.fulfill(status=404)
        else:
            await route.fulfill(body=body, content_type="text/javascript")

    context = await chromium.new_context()
    tab = await context.new_page()
    await tab.route(f"**/static/{file}", answer)
    await tab.goto(stack.page_address)
    await expect(tab.locator("#starting-trouble")).to_contain_text(words)
    await expect(tab.locator(STARTING)).to_be_visible()
    await context.close()


@pytest.mark.parametrize("file", ["format.js", "main.js", "page.css"])
async def test_page_with_a_broken_off_file_loads_again(new_person: NewPerson, stack: Stack, file: str) -> None:
    """Chromium breaks off what it loads when a network of the computer comes or goes."""
    alice = await new_person(address="about:blank")
    await alice.tab.route(f"**/static/{file}", lambda route: route.abort("failed"), times=1)
    await alice.tab.goto(stack.page_address)
    await expect(alice.tab.locator("#join")).to_have_css("display", "grid")
    await alice.join("Alice")


async def test_page_without_its_style_stays_usable(new_person: NewPerson, stack: Stack) -> None:
    alice = await new_person(address="about:blank")
    await alice.tab.route("**/static/page.css", lambda route: route.fulfill(status=404))
    await alice.tab.goto(stack.page_address)
    async with alice.tab.expect_event("load"):  # once, by itself
        pass
    await alice.join("Alice")


async def test_page_without_its_icon_is_not_loaded_again(new_person: NewPerson, stack: Stack) -> None:
    alice = await new_person(address="about:blank", clock=True)
    requests: list[str] = []
    alice.tab.on("request", lambda request: requests.append(request.resource_type))
    await alice.tab.route("**/static/icon.svg", lambda route: route.abort("failed"))
    await alice.tab.goto(stack.page_address)
    await alice.join("Alice")
    await alice.tab.clock.fast_forward(2_000)  # beyond the wait for a file that is needed
    await alice.say("still here")
    await alice.sees("still here")
    assert "xhr" not in requests
    assert requests.count("document") == 1
