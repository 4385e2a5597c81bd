"""JSON-RPC bodies, drawn as text: right, nearly right, and everything that a writer of JSON would not write."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from protocol.methods import UNREGISTER
from tests.fuzz.mutation import mutated, one_in

SCALARS: Final = (
    b"null",
    b"true",
    b"false",
    b"0",
    b"1",
    b"-1",
    b"-0",
    b"1.0",
    b"1.5",
    b"1e2",
    b"1E+2",
    b"-0.0",
    b"1e-400",
    b"0.1000000000000000055511151231257827021181583404541015625",
    b"9007199254740993",
    b"2147483648",
    b"9223372036854775808",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"123456789012345678901234567890",
    b"9" * 310,
    b"9" * 4300,
    b'""',
    b'" "',
    b'"a"',
    b'"2.0"',
    b'"\\n"',
    b'"\\u0000"',
    b'"\\u001b]0;x\\u0007"',
    b'"\\u202eabc"',
    b'"\\ud83d\\ude00"',
    '"日本 \U0001f469\u200d\U0001f467 é"'.encode(),
    '"ａｌｉｃｅ \u0430lice al\u200bice"'.encode(),
    b'"' + "e\u0301\u0316".encode() * 60 + b'"',
    b'"' + b"x" * 65 + b'"',
    b'"' + b"x" * 4097 + b'"',
    b'"\\ufdfa"',
    b'"__class__"',
    b'"<img src=x onerror=alert(1)>"',
    b"[]",
    b"{}",
    b"[[]]",
    b'[{"a":[1,"b",null]}]',
    b'{"":0}',
    b'{"id":1,"id":2}',
    b'{"jsonrpc":"2.0","method":"Ping","id":1}',
)
NOT_JSON: Final = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e400",
    b"01",
    b"+1",
    b".5",
    b"1.",
    b"0x10",
    b"9" * 5000,
    b'"\\ud800"',
    b'"\\ude00\\ud83d"',
    b'"\xff"',
    b'"\xc0\xaf"',
    b'"\xed\xa0\x80"',
    b'"a\nb"',
    b'"a\x00b"',
    b'"\\x41"',
    b'"\\u12"',
    b"'a'",
    b"[1,]",
    b'{"a":1,}',
    b"{a:1}",
    b"undefined",
    b"[1 2]",
    b"/* */1",
    b"",
)
IDENTIFIERS: Final = (b"1", b"7", b'"a"', b"null", b"0", b"-1", b'""', b"1.50", b"1e2", b'"\\u0041"')
NESTINGS: Final = (13, 14, 15, 16, 17, 18, 100, 400, 3000, 20_000)
WIDTHS: Final = (99, 100, 101, 256, 257, 1000, 20_000)
ELEMENTS: Final = (
    b"{}",
    b"1",
    b"[]",
    b'{"jsonrpc":"2.0","method":"Nope"}',
    b'{"jsonrpc":"2.0","method":"Nope","id":1}',
)
SPACES: Final = (b"", b"", b"", b" ", b"\n\t", b"\r\n  ")
BREAKS: Final = (
    b"\xef\xbb\xbf%b",
    b"\xff\xfe%b",
    b" %b\n",
    b"%b\x00",
    b"%b%b",
    b"%b,",
    b"(%b)",
    b"%b]",
    b"callback(%b)",
)
BIG: Final = (60_000, 65_536, 70_000, 300_000, 1_048_570)  # bytes of white space or of one string


@dataclass(frozen=True)
class Vocabulary:
    """What one port understands: each method's parameters in positional order, and values that fit a parameter."""

    methods: Mapping[str, tuple[str, ...]]
    values: Mapping[str, tuple[bytes, ...]]


class Bodies:
    """Draws bodies for one port."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        every = [(name.encode(), fields) for name, fields in vocabulary.methods.items()]
        # Whoever has left can do no more, so that leaving is to be rare.
        self._methods = [one for one in every for _ in range(1 if one[0] == UNREGISTER.encode() else 6)]
        self._values = vocabulary.values
        self._every_field = sorted({field for _, fields in self._methods for field in fields})
        self._every_value = [value for values in vocabulary.values.values() for value in values]
        self._shapes: tuple[Callable[[Random], bytes], ...] = (
            *[self.request] * 14,
            *[self.batch] * 4,
            self.value,
        )

    def draw(self, draw: Random) -> bytes:
        """Draw one body."""
        if one_in(draw, 100):
            return self._extreme(draw)
        body = draw.choice(self._shapes)(draw)
        return mutated(draw, body) if one_in(draw, 4) else body

    def batch(self, draw: Random) -> bytes:
        """Draw an array of what may be requests."""
        elements = [
            self.value(draw) if one_in(draw, 6) else self.request(draw) for _ in range(draw.choice((1, 2, 2, 3, 5, 0)))
        ]
        return b"[%b]" % b",".join(elements)

    def request(self, draw: Random) -> bytes:
        """Draw what may be a request: members wrong, missing, twice, in any order."""
        method, fields = draw.choice(self._methods)
        pairs = [(b"jsonrpc", b'"2.0"'), (b"method", b'"%b"' % method), (b"params", self._params(draw, fields))]
        if not one_in(draw, 6):
            pairs.append((b"id", draw.choice(IDENTIFIERS)))
        if one_in(draw, 3):
            self._spoil(draw, pairs)
        return self._object(draw, pairs)

    def value(self, draw: Random, depth: int = 3) -> bytes:
        """Draw any value, and now and then what is none."""
        kind = draw.randrange(20)
        if kind == 19:
            return draw.choice(NOT_JSON)
        if kind < 12 or depth == 0:
            return draw.choice(self._every_value) if kind < 4 else draw.choice(SCALARS)
        inner = [self.value(draw, depth - 1) for _ in range(draw.randrange(4))]
        if kind < 16:
            return b"[%b]" % b",".join(inner)
        return self._object(draw, [(draw.choice(self._every_field).encode(), value) for value in inner])

    def _params(self, draw: Random, fields: Sequence[str]) -> bytes:
        kind = draw.randrange(24)
        if kind < 9:
            named = [(field.encode(), draw.choice(self._values[field])) for field in fields]
            return self._object(draw, named)
        if kind < 12:
            return b"[%b]" % b",".join(draw.choice(self._values[field]) for field in fields)
        if kind < 19:
            named = [(field.encode(), self._odd(draw, field)) for field in fields if not one_in(draw, 5)]
            if one_in(draw, 12):
                named.append((draw.choice(self._every_field).encode(), self.value(draw)))
            return self._object(draw, named)
        if kind < 23:
            padded = [*fields, *[draw.choice(self._every_field) for _ in range(2)]]
            return b"[%b]" % b",".join(self._odd(draw, field) for field in padded[: draw.randrange(len(padded) + 1)])
        return self.value(draw)

    def _odd(self, draw: Random, field: str) -> bytes:
        kind = draw.randrange(12)
        if kind < 9:
            return draw.choice(self._values[field])
        return draw.choice(self._every_value) if kind == 9 else self.value(draw)

    def _spoil(self, draw: Random, pairs: list[tuple[bytes, bytes]]) -> None:
        at = draw.randrange(len(pairs))
        key, value = pairs[at]
        match draw.randrange(6):
            case 0:
                draw.shuffle(pairs)
            case 1:
                del pairs[at]
            case 2:
                pairs[at] = (key, self.value(draw))
            case 3:
                pairs.append((key, self.value(draw)))
            case 4:
                pairs[at] = (draw.choice((b"\\u00%02x" % key[0] + key[1:], key.upper(), b"", key + b"\\u0000")), value)
            case _:
                pairs.append((draw.choice((b"result", b"error", b"trace", b"", b"\\ud800")), self.value(draw)))

    def _object(self, draw: Random, pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
        space = draw.choice(SPACES)
        between = b",%b" % space
        return b"{%b%b}" % (space, between.join(b'"%b":%b%b' % (key, space, value) for key, value in pairs))

    def _extreme(self, draw: Random) -> bytes:
        """Draw what is deep, wide, big, or something else than JSON around JSON."""
        request = self.request(draw)
        match draw.randrange(5):
            case 0:
                return self._nested(draw)
            case 1:
                element = draw.choice(ELEMENTS)
                return b"[%b]" % b",".join([element] * draw.choice(WIDTHS))
            case 2 if one_in(draw, 4):
                filler = draw.choice((b" ", b"\n", b"[", b"0"))
                return request + filler * draw.choice(BIG)
            case 3 if one_in(draw, 4):
                return b'{"jsonrpc":"2.0","id":1,"method":"%b"}' % (b"x" * draw.choice(BIG))
        broken = draw.choice(BREAKS)
        return broken.replace(b"%b", request)

    def _nested(self, draw: Random) -> bytes:
        deep = draw.choice(NESTINGS)
        opening, closing = draw.choice(((b"[", b"]"), (b'{"a":', b"}")))
        nested = opening * deep + b"1" + closing * draw.choice((deep, deep, deep, deep - 1))
        method, _ = draw.choice(self._methods)
        around = draw.choice((b"%b", b'{"jsonrpc":"2.0","method":"%b","params":[@],"id":1}' % method, b"[@,@]"))
        return around.replace(b"@", nested) if b"@" in around else nested
