"""Names and limits are the ones of the contract: changing one changes it for every client there is."""

from protocol import methods


def test_the_methods_of_the_server_are_those_of_the_contract() -> None:
    names = (
        methods.REGISTER,
        methods.UNREGISTER,
        methods.SEND_MESSAGE,
        methods.GET_HISTORY,
        methods.LIST_MEMBERS,
        methods.RENAME,
        methods.SET_TYPING,
        methods.PING,
    )
    assert names == (
        "Register",
        "Unregister",
        "SendMessage",
        "GetHistory",
        "ListMembers",
        "Rename",
        "SetTyping",
        "Ping",
    )


def test_the_methods_of_a_client_are_those_of_the_contract() -> None:
    names = (methods.RECEIVE_MESSAGE, methods.VERIFY_CALLBACK, methods.RECEIVE_TYPING)
    assert names == ("ReceiveMessage", "VerifyCallback", "ReceiveTyping")


def test_paths_headers_and_words_are_those_of_the_contract() -> None:
    assert (methods.RPC_PATH, methods.HEALTH_PATH, methods.READY_PATH) == ("/rpc", "/healthz", "/readyz")
    assert methods.RECIPIENT_HEADER == "ringback-recipient"
    assert methods.CONTENT_TYPE == "application/json"
    assert {"application/json", "application/json-rpc"} == methods.ACCEPTED_CONTENT_TYPES
    assert methods.LOBBY == "lobby"


def test_the_limits_are_those_of_the_contract() -> None:
    limits = {name: value for name, value in vars(methods).items() if name.startswith("MAX_")}
    assert limits == {
        "MAX_BODY_BYTES": 1_048_576,
        "MAX_BATCH_CALLS": 100,
        "MAX_NESTING": 16,
        "MAX_TEXT_CHARS": 4096,
        "MAX_NAME_CHARS": 32,
        "MAX_ID_CHARS": 64,
        "MAX_CALLBACK_URL_CHARS": 2048,
        "MAX_PUSH_BATCH": 256,
        "MAX_PUSH_BYTES": 524_288,
        "MAX_REPLY_BYTES": 65_536,
        "MAX_HISTORY": 300,
        "MAX_MEMBERS_PAGE": 1000,
    }
    assert methods.MEMBERS_IN_REGISTER == 100


def test_the_times_are_those_of_the_contract() -> None:
    times = (methods.REQUEST_READ_SECONDS, methods.CONNECT_SECONDS, methods.EXCHANGE_SECONDS, methods.DRAIN_SECONDS)
    assert times == (10, 2, 5, 10)
