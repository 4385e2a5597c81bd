"""The page uses only what every browser has since the end of 2022: Chrome and Edge 107, Firefox 106, Safari 16."""

import re
from pathlib import Path
from typing import Final

import pytest

from client.faces.web.page import STATIC

SCRIPTS: Final = sorted(STATIC.glob("*.js"))
SHEETS: Final = sorted(STATIC.glob("*.css"))

# Each with the first versions that have it (MDN, browser compatibility data).
YOUNGER_IN_SCRIPTS: Final = {
    "lookbehind (Safari 16.4)": r"\(\?<[=!]",
    "RegExp v flag (Chrome 112, Firefox 116, Safari 17)": r"/[dgimsy]*v[dgimsy]*[;,.)]|,\s*\"[dgimsy]*v[dgimsy]*\"\)",
    "RegExp.escape, modifiers (2025)": r"RegExp\.escape|\(\?[ims]+[-:]",
    "String.isWellFormed, toWellFormed (Chrome 111, Firefox 119, Safari 16.4)": r"\b(?:is|to)WellFormed\(",
    "URL.canParse, URL.parse (Chrome 120, Firefox 115, Safari 17)": r"URL\.(?:canParse|parse)\b",
    "groupBy (Chrome 117, Firefox 119, Safari 17.4)": r"\b(?:Object|Map)\.groupBy\b",
    "Array.toSorted and its like (Chrome 110, Firefox 115)": r"\.(?:toSorted|toReversed|toSpliced|with)\(",
    "Array.fromAsync (Chrome 121)": r"Array\.fromAsync",
    "Set methods (Chrome 122, Firefox 127, Safari 17)": r"\.(?:union|intersection|\w*[dD]ifference|is\w+(?:Of|From))\(",
    "iterator helpers (Chrome 122, Firefox 131, Safari 18.4)": r"\.(?:values|keys|entries)\(\)\.[mfset]\w+\(",
    "Promise.withResolvers, Promise.try (Chrome 119)": r"Promise\.(?:withResolvers|try)\b",
    "AbortSignal.any (Chrome 116)": r"AbortSignal\.any\b",
    "Intl.Segmenter (Firefox 125)": r"Intl\.(?:Segmenter|DurationFormat)\b",
    "ARIA reflection (Firefox 119)": r"\.aria[A-Z]\w*|\baria[A-Z]\w*:|\.role\s*=|\brole:",
    "popover (Chrome 114, Firefox 125, Safari 17)": r"[pP]opover",
    "import attributes, import.meta.resolve": r"\bwith\s*\{\s*type|import\.meta\.resolve",
    "crypto.randomUUID (only with TLS)": r"randomUUID",
    "scheduler, requestIdleCallback (never in Safari)": r"\bscheduler\.|requestIdleCallback",
    "view transitions, scrollend, Navigation API": r"startViewTransition|scrollend|(?<!performance\.)\bnavigation\.",
    "static blocks, decorators, using": r"\bstatic\s*\{|^\s*@\w|\b(?:await\s+)?using\s+\w+\s*=",
}
YOUNGER_IN_SHEETS: Final = {
    "light-dark() (Chrome 123, Firefox 120, Safari 17.5)": r"light-dark\(",
    "color-mix(), oklch() and relative colours (Chrome 111, Firefox 113)": r"color-mix\(|okl(?:ch|ab)\(|\(from ",
    "popover": r":popover-open|::backdrop",
    ":has() (Firefox 121)": r":has\(",
    "nesting (Chrome 112, Firefox 117, Safari 16.5)": r"^\s*&|\{[^{}]*\n\s+[.#:\[][^{};]*\{",
    "media query ranges (Safari 16.4)": r"@media[^{]*[<>]",
    "@layer, @scope, @starting-style, @property": r"@(?:scope|starting-style|property|container)\b",
    "text-wrap, field-sizing, anchors (Chrome 114 and later)": r"text-wrap:|field-sizing|interpolate-|anchor\(",
    "subgrid": r"subgrid",
}
YOUNGER_IN_MARKUP: Final = r"popover|commandfor|<dialog|<search\b|inert\b|blocking="
VIEWPORT_UNIT: Final = re.compile(r"([\w-]+):\s*\d+[dsl]v[hw]")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_uses_nothing_younger(script: Path) -> None:
    source = _without_comments(script.read_text())
    assert [what for what, pattern in YOUNGER_IN_SCRIPTS.items() if re.search(pattern, source, re.MULTILINE)] == []


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_a_sheet_uses_nothing_younger(sheet: Path) -> None:
    source = re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL)
    outside_media = re.sub(r"@(?:media|keyframes)[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", _conditions_only, source)
    assert [
        what for what, pattern in YOUNGER_IN_SHEETS.items() if re.search(pattern, outside_media, re.MULTILINE)
    ] == []


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_a_dynamic_viewport_unit_stands_behind_one_that_all_have(sheet: Path) -> None:
    """Chrome 107 drops a declaration with `dvh`, and takes the one before it."""
    source = sheet.read_text()
    for found in VIEWPORT_UNIT.finditer(source):
        assert re.search(rf"{found[1]}:\s*\d+v[hw];\s*$", source[: found.start()]), found[0]


def test_the_markup_uses_nothing_younger() -> None:
    assert not re.findall(YOUNGER_IN_MARKUP, (STATIC / "index.html").read_text())


def test_the_first_script_is_one_that_any_browser_reads() -> None:
    """It says what keeps the others from running."""
    source = _without_comments((STATIC / "start.js").read_text())
    assert not re.search(r"=>|`|\b(?:let|const|class|async|import|export)\b|\?\.|\?\?|\.\.\.", source)


def _without_comments(source: str) -> str:
    return re.sub(r"(?<![:\\])//.*", "", source)


def _conditions_only(found: re.Match[str]) -> str:
    condition, _, rest = found[0].partition("{")
    return condition + rest.rpartition("}")[0]
