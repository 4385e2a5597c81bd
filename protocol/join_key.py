"""Reads the join key from a file, a variable, a form, or the parameters of `Register`."""

import codecs
from typing import Final

MAX_KEY_CHARS: Final = 1024
BYTE_ORDER_MARK: Final = "\ufeff"
UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def bare(text: str) -> str:
    """Return `text` without surrounding white space and byte order mark: editors and `.env` files add those."""
    return text.strip().removeprefix(BYTE_ORDER_MARK).strip()


def without_line_ends(text: str) -> str:
    """Return `text` without surrounding byte order mark and line breaks, which a program that reads a file may keep."""
    return text.strip(f"{BYTE_ORDER_MARK}\r\n")


def checked_key(text: str) -> str:
    """Return the validated key. Raise `ValueError` with the end of a sentence that begins with "the key"."""
    key = bare(text)
    if not key:
        raise ValueError("is empty; expected at least one character")
    if not key.isprintable():
        raise ValueError("contains a line break or an invisible character; expected a single line of text")
    if len(key) > MAX_KEY_CHARS:
        raise ValueError(f"has {len(key)} characters; expected at most {MAX_KEY_CHARS}")
    return key


def read_key(content: bytes) -> str:
    """Return the key in a file's content: UTF-8, or UTF-16 with a byte order mark (Windows PowerShell's `>`).

    Raise `ValueError` like `checked_key`.
    """
    try:
        return checked_key(content.decode("utf-16" if content.startswith(UTF16_MARKS) else "utf-8"))
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8; expected text in UTF-8") from None
