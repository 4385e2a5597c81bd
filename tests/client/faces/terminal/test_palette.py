import pytest

from client.faces.terminal.palette import GREY, NAMES, style_of_name


def luminance(color: str) -> float:
    """As WCAG 2 has it."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("color", [*NAMES, GREY])
def test_each_colour_is_read_on_black_and_on_white(color: str) -> None:
    assert (luminance(color) + 0.05) / 0.05 >= 4
    assert 1.05 / (luminance(color) + 0.05) >= 4


def test_a_name_has_the_same_colour_everywhere_and_whatever_its_case() -> None:
    assert [style_of_name(name) for name in ("Alice", "Bob", "Charlie")] == [
        "class:name1",
        "class:name0",
        "class:name4",
    ]
    assert style_of_name("ALICE") == style_of_name("alice") == style_of_name("Ａlice")


def test_the_colours_are_spread_over_the_names() -> None:
    assert len({style_of_name(f"name {number}") for number in range(200)}) == len(NAMES)


def test_a_name_that_is_no_unicode_has_a_colour_as_well() -> None:
    assert style_of_name("half\ud800").startswith("class:name")
