"""Signatures, judged by Standard Webhooks' own library wherever it has an opinion."""

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from protocol.signing import (
    ID_HEADER,
    SECRET_BYTES,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    ClocksApart,
    SecretError,
    SignatureError,
    Signer,
    decode_secret,
    encode_secret,
    sign,
    signed_content,
    signed_headers,
    verify,
)

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
ID = "5f3a9c01d2e4b687-42-47"
NOW = 1_800_000_000
BODY = '{"jsonrpc":"2.0","method":"ReceiveMessage","params":{"message":{"text":"žluťoučký 🐎"}},"id":42}'.encode()
HEADERS = signed_headers(KEY, ID, NOW, BODY)
SIGNATURE = HEADERS[SIGNATURE_HEADER]


def test_the_judge_accepts_what_we_sign() -> None:
    headers = signed_headers(KEY, ID, int(time.time()), BODY)
    Webhook(encode_secret(KEY)).verify(BODY, headers)


def test_the_judge_refuses_what_we_sign_with_another_key() -> None:
    headers = signed_headers(OTHER_KEY, ID, int(time.time()), BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(encode_secret(KEY)).verify(BODY, headers)


@given(st.binary(min_size=24, max_size=64), st.text(st.characters(codec="utf-8"), max_size=50), st.text(max_size=20))
def test_judge_and_we_sign_the_same_with_any_key_and_text(key: bytes, body: str, suffix: str) -> None:
    webhook_id = f"id-{suffix.encode(errors='replace').decode()}"
    at = datetime.fromtimestamp(NOW, UTC)
    theirs = Webhook(encode_secret(key)).sign(webhook_id, at, body)
    headers = {ID_HEADER: webhook_id, TIMESTAMP_HEADER: str(NOW), SIGNATURE_HEADER: theirs}
    assert sign(key, webhook_id, NOW, body.encode()) == theirs
    assert verify(key, headers, body.encode(), NOW) == webhook_id


def test_one_good_signature_among_others_is_enough() -> None:
    signatures = f"v1a,AAAA v2,{SIGNATURE[3:]} {sign(OTHER_KEY, ID, NOW, BODY)} {SIGNATURE}"
    assert verify(KEY, {**HEADERS, SIGNATURE_HEADER: signatures}, BODY, NOW) == ID


@pytest.mark.parametrize("late", [-300, -0.5, 0, 0.5, 300])
def test_a_callback_is_good_for_five_minutes_to_either_side(late: float) -> None:
    assert verify(KEY, HEADERS, BODY, NOW + late) == ID


@pytest.mark.parametrize("late", [-301, 301, 86400])
def test_a_callback_of_another_time_is_refused(late: float) -> None:
    with pytest.raises(ClocksApart, match="more than 300 seconds from now") as caught:
        verify(KEY, HEADERS, BODY, NOW + late)
    assert caught.value.seconds == late


def test_verify_of_another_time_and_key_blames_no_clock() -> None:
    with pytest.raises(SignatureError, match="does not match this body and secret"):
        verify(b"x" * 32, HEADERS, BODY, NOW + 400)


@pytest.mark.parametrize("name", [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_header_is_refused(name: str, value: str | None) -> None:
    headers = {key: text for key, text in HEADERS.items() if key != name}
    if value is not None:
        headers[name] = value
    with pytest.raises(SignatureError, match="must all be present"):
        verify(KEY, headers, BODY, NOW)


@pytest.mark.parametrize(
    "stamp",
    [
        *("x", "-1", "+1800000000", "1800000000.0", " 1800000000", "1800000000\n", "1_800_000_000", "0x6b49d200"),
        *("१८०००००००००", "²", "nan", "inf", "\udcff", "9" * 16, "9" * 5000),
    ],
)
def test_a_malformed_timestamp_is_refused(stamp: str) -> None:
    with pytest.raises(SignatureError, match="not a number of seconds"):
        verify(KEY, {**HEADERS, TIMESTAMP_HEADER: stamp}, BODY, NOW)


@pytest.mark.parametrize(
    "signature",
    [
        "v1",
        "v1,",
        ",",
        " ",
        SIGNATURE[3:],
        "v2," + SIGNATURE[3:],
        "V1," + SIGNATURE[3:],
        SIGNATURE + "=",
        SIGNATURE[:-1],
        SIGNATURE.replace(",", ", "),
        f"{SIGNATURE},{SIGNATURE}",
        "v1,\udcff",
        "v1,ž",
        "v1,A",
        sign(OTHER_KEY, ID, NOW, BODY),
        sign(KEY, ID + "x", NOW, BODY),
        sign(KEY, ID, NOW + 1, BODY),
        sign(KEY, ID, NOW, BODY + b" "),
    ],
)
def test_a_signature_that_is_not_of_this_callback_is_refused(signature: str) -> None:
    with pytest.raises(SignatureError, match="does not match this body and secret"):
        verify(KEY, {**HEADERS, SIGNATURE_HEADER: signature}, BODY, NOW)


def test_an_id_that_is_not_text_is_refused() -> None:
    with pytest.raises(SignatureError, match="webhook-id is not text"):
        verify(KEY, {**HEADERS, ID_HEADER: "\udcff"}, BODY, NOW)


@given(st.text(), st.text() | st.integers().map(str) | st.just(str(NOW)), st.text() | st.text().map("v1,{}".format))
def test_arbitrary_headers_raise_signature_error_and_nothing_else(webhook_id: str, stamp: str, signature: str) -> None:
    headers = {ID_HEADER: webhook_id, TIMESTAMP_HEADER: stamp, SIGNATURE_HEADER: signature}
    with pytest.raises(SignatureError):
        verify(KEY, headers, BODY, NOW)


@pytest.mark.parametrize("size", [24, 25, 32, 64])
def test_a_secret_goes_there_and_back(size: int) -> None:
    key = bytes(size)
    assert decode_secret(encode_secret(key)) == key


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        base64.b64encode(KEY).decode(),
        "WHSEC_" + base64.b64encode(KEY).decode(),
        " " + encode_secret(KEY),
        encode_secret(KEY) + "\n",
        encode_secret(KEY) + "=",
        encode_secret(KEY)[:-1],
        encode_secret(KEY).replace("A", "-", 1),
        encode_secret(bytes(23)),
        encode_secret(bytes(65)),
        "whsec_====",
        "whsec_žžžžžžžžžžžžžžžžžžžžžžžžžžžžžžžž",
        "whsec_\udcff",
    ],
)
def test_what_is_no_secret_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(SecretError) as caught:
        decode_secret(secret)
    assert str(caught.value) == "expected whsec_ and the base64 of 24 to 64 bytes"


@given(st.text() | st.text().map("whsec_{}".format))
def test_arbitrary_secrets_raise_secret_error_and_nothing_else(secret: str) -> None:
    try:
        key = decode_secret(secret)
    except SecretError:
        return
    assert 24 <= len(key) <= 64


@pytest.mark.parametrize("size", [SECRET_BYTES[0], 32, 63, SECRET_BYTES[-1]])
def test_a_signer_signs_as_the_standard_library_does_again_and_again(size: int) -> None:
    key = bytes(range(size))
    signer = Signer(key)
    for body in (BODY, b"", BODY * 1000, BODY):
        assert signer.sign(signed_content(ID, NOW, body)).decode() == sign(key, ID, NOW, body)
