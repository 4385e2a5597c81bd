"""The join key as people write it down: in a file, a variable, a form, or the parameters of `Register`."""

import codecs
from typing import Final

MAX_KEY_CHARS: Final = 1024
BYTE_ORDER_MARK: Final = "\ufeff"
UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def bare(text: str) -> str:
    """Return `text` without white space and a byte order mark around it: editors and `.env` files add those."""
    return text.strip().removeprefix(BYTE_ORDER_MARK).strip()


def without_line_ends(text: str) -> str:
    """Return `text` without a byte order mark and line breaks around it, which programs that read a file may leave."""
    return text.strip(f"{BYTE_ORDER_MARK}\r\n")


def checked_key(text: str) -> str:
    """Return the key that a person gives; raises `ValueError` with the end of a sentence that begins with "the key"."""
    key = bare(text)
    if not key:
        raise ValueError("is empty; expected at least one character")
    if not key.isprintable():
        raise ValueError("holds a line break or an invisible character; expected one line of text")
    if len(key) > MAX_KEY_CHARS:
        raise ValueError(f"has {len(key)} characters; expected at most {MAX_KEY_CHARS}")
    return key


def read_key(content: bytes) -> str:
    """Return the key that a file holds, in UTF-8, or in UTF-16 with a byte order mark (Windows PowerShell's `>`).

    Raises `ValueError` like `checked_key`.
    """
    try:
        return checked_key(content.decode("utf-16" if content.startswith(UTF16_MARKS) else "utf-8"))
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8; expected text in UTF-8") from None
