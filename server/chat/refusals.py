"""Rate-limited log lines about refused `Register` requests, and a count of the omitted lines."""

from typing import Final

import msgspec

from protocol.errors import ContractError
from server import logs
from server.chat.rate_limit import RateLimit
from server.clock import Alarm, Clock
from server.inbound.caller import Caller
from server.net.addresses import network_of

LINES_PER_SECOND: Final = 0.1  # of one address
LINES_IN_A_BURST: Final = 5
LINES_OF_ALL_PER_SECOND: Final = 1.0
LINES_OF_ALL_IN_A_BURST: Final = 50
COUNT_SECONDS: Final = 60.0  # between the first omitted line and the line that counts the omitted lines
UNSHOWN: Final = ("url",)  # the path of a callback may be a secret of the participant


class _Named(msgspec.Struct):
    name: str


_NAMED: Final = msgspec.json.Decoder(_Named)
_BY_POSITION: Final = msgspec.json.Decoder(tuple[msgspec.Raw, str])


class Refusals:
    """Writes the lines. No line contains a key, a secret or a token."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of_address = RateLimit(LINES_PER_SECOND, LINES_IN_A_BURST)
        self._of_all = RateLimit(LINES_OF_ALL_PER_SECOND, LINES_OF_ALL_IN_A_BURST)
        self._left_out = 0
        self._alarm: Alarm | None = None

    def note(self, caller: Caller, params: bytes, error: ContractError) -> None:
        """Log that a `Register` with these parameters, as JSON, was refused."""
        now, network = self._clock.monotonic(), network_of(caller.address)
        if self._of_address.take(network, now) or self._of_all.take(None, now):
            self._left_out += 1
            if self._alarm is None:
                self._alarm = self._clock.call_at(now + COUNT_SECONDS, self._tell_count)
            return
        logs.server.info("Refused to register %s from %s: %s", _name_in(params), caller, _reason(error))

    def close(self) -> None:
        """Log the count of omitted lines now, if any."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._tell_count()

    def _tell_count(self) -> None:
        logs.server.info("Refused to register %d more callers (lines omitted)", self._left_out)
        self._left_out, self._alarm = 0, None


def _name_in(params: bytes) -> str:
    try:
        name = _NAMED.decode(params).name if params.startswith(b"{") else _BY_POSITION.decode(params)[1]
    except msgspec.DecodeError:
        return "a participant without a name"
    return f'"{name}"'


def _reason(error: ContractError) -> str:
    """Return the message of an error without the URL of the callback."""
    shown = {key: value for key, value in (error.data or {}).items() if key not in UNSHOWN}
    stage = f"{shown['stage']}: " if "stage" in shown else ""
    return ContractError(error.code, {**shown, "detail": f"{stage}{shown['detail']}"} if stage else shown).message
