"""Method names, HTTP paths and headers, and the limits of the contract."""

from typing import Final

# Methods of the server (POST /rpc).
REGISTER: Final = "Register"
UNREGISTER: Final = "Unregister"
SEND_MESSAGE: Final = "SendMessage"
GET_HISTORY: Final = "GetHistory"
LIST_MEMBERS: Final = "ListMembers"
RENAME: Final = "Rename"
SET_TYPING: Final = "SetTyping"
PING: Final = "Ping"

# Methods of a client (POST to its callback URL).
RECEIVE_MESSAGE: Final = "ReceiveMessage"
VERIFY_CALLBACK: Final = "VerifyCallback"
RECEIVE_TYPING: Final = "ReceiveTyping"

RPC_PATH: Final = "/rpc"
HEALTH_PATH: Final = "/healthz"
READY_PATH: Final = "/readyz"

CONTENT_TYPE: Final = "application/json"
ACCEPTED_CONTENT_TYPES: Final = frozenset({"application/json", "application/json-rpc"})
RECIPIENT_HEADER: Final = "ringback-recipient"

LOBBY: Final = "lobby"

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_BATCH_CALLS: Final = 100
MAX_NESTING: Final = 16
MAX_TEXT_CHARS: Final = 4096
MAX_NAME_CHARS: Final = 32
MAX_ID_CHARS: Final = 64
MAX_CALLBACK_URL_CHARS: Final = 2048
MAX_PUSH_BATCH: Final = 256
MAX_PUSH_BYTES: Final = 512 * 1024
MAX_REPLY_BYTES: Final = 64 * 1024
MAX_HISTORY: Final = 300
MAX_MEMBERS_PAGE: Final = 1000
MEMBERS_IN_REGISTER: Final = 100

REQUEST_READ_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 2.0
EXCHANGE_SECONDS: Final = 5.0
DRAIN_SECONDS: Final = 10.0
