import pytest

from client.errors import CallRefused, NotRegistered, words_for_time
from protocol.errors import ErrorCode

OF_THE_CALLER = (ErrorCode.PARSE_ERROR, ErrorCode.INVALID_REQUEST, ErrorCode.METHOD_NOT_FOUND)


@pytest.mark.parametrize("code", [code for code in ErrorCode if code not in OF_THE_CALLER], ids=lambda code: code.name)
def test_every_error_that_a_person_can_meet_is_a_sentence(code: ErrorCode) -> None:
    told = str(CallRefused(code, code.message))
    assert told.endswith((".", ")."))
    assert str(code.value) not in told


@pytest.mark.parametrize(
    ("field", "problem", "told"),
    [
        ("name", "must not contain '@'", "That name must not contain '@'."),
        (
            "name",
            "is reserved: readers would mistake it for the chat itself",
            "That name is reserved: readers would mistake it for the chat itself.",
        ),
        ("text", "must not be empty", "The text must not be empty."),
        (
            "text",
            "holds characters that are not valid Unicode",
            "The text holds characters that are not valid Unicode.",
        ),
        ("id", "is required: a string", "That id is required: a string."),
        ("callback", "has no host", "The callback has no host."),
        ("secret", "expected whsec_", "The server does not accept the secret: expected whsec_."),
        (None, "9 parameters given", "The server refused: 9 parameters given."),
        (None, None, "The server rejected the request as invalid."),
    ],
)
def test_refusal_of_a_parameter_is_a_whole_sentence(field: str | None, problem: str | None, told: str) -> None:
    assert str(CallRefused(-32602, "Invalid params", {"field": field, "problem": problem})) == told


STAGES = ("dns", "connect", "tls", "timeout", "http", "rpc")


def unreachable(stage: str) -> CallRefused:
    data = {"url": "http://10.0.0.7:8080/rpc/x", "stage": stage, "detail": "of the server"}
    return CallRefused(-32004, "Callback unreachable", data)


def test_refusals_of_a_callback_have_a_sentence_for_each_stage() -> None:
    told = [str(unreachable(stage)) for stage in STAGES]
    assert len(set(told)) == len(STAGES)
    for sentence in told:
        assert "http://10.0.0.7:8080/rpc/x (of the server)." in sentence
        assert "CHAT_CALLBACK" in sentence
        assert sentence.endswith((".", "?", "http://."))
    assert ["NAT" in sentence for sentence in told] == [stage == "connect" for stage in STAGES]


def test_refusal_of_a_callback_at_an_unknown_stage_is_told_with_it() -> None:
    assert "http://10.0.0.7:8080/rpc/x (quantum, of the server)" in str(unreachable("quantum"))


@pytest.mark.parametrize(
    ("ahead", "told"),
    [(400, "7 minutes ahead of the"), (-5000, "84 minutes behind the"), (1e6, "12 days ahead of the")],
)
def test_refusal_for_the_clock_says_how_far_it_is_off_and_no_word_of_firewalls(ahead: float, told: str) -> None:
    refused = unreachable("http")
    refused.clocks_apart = ahead
    assert str(refused).startswith(
        f"This computer's clock is {told} chat server's. They may be at most 5 minutes apart"
    )
    assert "NAT" not in str(refused)


def test_taken_name_or_id_tells_to_choose_another() -> None:
    assert str(CallRefused(-32003, "Taken", {"field": "name"})) == "That name is in use. Choose another."
    assert str(CallRefused(-32003, "Taken", {"field": "id"})).startswith("That id belongs to another member.")


def test_rate_limit_says_why_and_how_long_to_wait() -> None:
    data = {"retry_after_ms": 2500, "detail": "at most 3 participants may be present from one address"}
    told = "The server asks to wait 3 seconds: at most 3 participants may be present from one address."
    assert str(CallRefused(-32006, "Rate limited", data)) == told


def test_address_that_may_not_be_called_for_a_proxy_names_the_setting_for_proxies() -> None:
    detail = "the request came through a proxy that is not in CHAT_TRUSTED_PROXIES"
    told = str(CallRefused(-32005, "Callback address not allowed", {"detail": detail}))
    assert detail in told
    assert "CHAT_CALLBACK_ALLOW" not in told


def test_words_for_time_take_the_unit_that_a_person_would() -> None:
    told = [words_for_time(seconds) for seconds in (0.2, 59, 89, 90, 600, 5400, 86400, 129600, 2592000)]
    assert told == [
        "1 second",
        "59 seconds",
        "89 seconds",
        "2 minutes",
        "10 minutes",
        "2 hours",
        "24 hours",
        "2 days",
        "30 days",
    ]


def test_who_may_not_be_called_is_told_whom_to_ask() -> None:
    told = str(CallRefused(-32005, "Callback address not allowed"))
    assert "CHAT_CALLBACK_ALLOW" in told


def test_an_error_of_a_later_server_is_told_with_its_own_words() -> None:
    assert str(CallRefused(-32050, "Too late")) == "The server refused: Too late (-32050)."


@pytest.mark.parametrize(
    ("hours", "wait"), [(0.2, "another 12 minutes"), (5, "another 5 hours"), (24 * 29, "another 29 days")]
)
def test_taken_for_somebody_away_tells_for_how_long_and_what_to_do(hours: float, wait: str) -> None:
    data = {"field": "name", "name": "Bob", "retry_after_ms": int(hours * 3_600_000)}
    told = str(CallRefused(ErrorCode.TAKEN, "Taken", data))
    assert told.startswith(f"The name Bob is reserved for an absent member, for {wait}. Choose another name")
    assert "release it" in told


def test_a_rate_limit_says_how_long_to_wait() -> None:
    assert CallRefused(-32006, "Rate limited", {"retry_after_ms": 250}).retry_after == 0.25
    assert CallRefused(-32006, "Rate limited", {"retry_after_ms": "soon"}).retry_after is None


def test_a_missing_seat_reads_as_the_servers_own_answer() -> None:
    assert NotRegistered().code == ErrorCode.AWAY
