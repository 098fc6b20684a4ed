"""Envelopes: sealing and opening, and bodies that are none."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolony.crypto import PrivateKey, recover
from kolony.errors import BadRequest, Forbidden, KolonyError, NotFound, ServerError, Unavailable
from kolony.model.functionspecs import FunctionSpec
from kolony.wire.decoding import Decoder
from kolony.wire.envelope import decode_payload, open_reply, open_request, seal_error, seal_reply, seal_request
from kolony.wire.message import Freshness
from kolony.wire.processes import SubmitFunctionSpec

KEY = PrivateKey.generate()
SUBMIT = Decoder(SubmitFunctionSpec)

# integers as large as a protocol written in another language may send, and text that UTF-8 can write
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text("abc", max_size=3), values, max_size=4),
    max_leaves=8,
)


@given(args=st.lists(VALUES, max_size=5), kwargs=st.dictionaries(st.text("xyz", max_size=5), VALUES, max_size=3))
def test_a_message_survives_its_envelope(args: list[Any], kwargs: dict[str, Any]) -> None:
    message = SubmitFunctionSpec(spec=FunctionSpec(funcname="f", args=args, kwargs=kwargs))
    request = open_request(seal_request(message, KEY))
    assert request.payloadtype == "submitfuncspecmsg"
    assert recover(request.payload.encode(), request.signature) == KEY.identity
    assert SUBMIT.decode(decode_payload(request.payload).decode()) == message


def test_fields_at_their_defaults_are_not_sent() -> None:
    request = open_request(seal_request(SubmitFunctionSpec(fresh=Freshness(time=5, nonce="n")), KEY))
    assert json.loads(decode_payload(request.payload)) == {
        "msgtype": "submitfuncspecmsg",
        "fresh": {"time": 5, "nonce": "n"},
    }


def test_without_a_key_the_signature_is_empty() -> None:
    assert open_request(seal_request(SubmitFunctionSpec(), None)).signature == ""


@pytest.mark.parametrize(
    "body",
    [
        b'{"payloadtype": "p", "payload": "q", "signature": "s"}',
        b'{"PAYLOADTYPE": "p", "Payload": "q", "SIGNATURE": "s", "unknown": [1, {"a": null}]}',
        b'{"payload": "older", "payloadtype": "p", "payload": "q", "signature": "s"}',
        b' {"payloadtype": "p", "payload": "q", "signature": "s", "more": null}\n',
    ],
)
def test_envelopes_are_read_leniently(body: bytes) -> None:
    request = open_request(body)
    assert (request.payloadtype, request.payload, request.signature) == ("p", "q", "s")


def test_absent_and_null_fields_are_empty() -> None:
    assert open_request(b'{"payload": null}') == open_request(b"{}")


@pytest.mark.parametrize("body", [b"", b"x", b"null", b"[]", b'"text"', b"{", b'{"payload": 1}', b"{} {}", b"\xff\xfe"])
def test_what_is_no_envelope_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        open_request(body)


@given(st.binary(max_size=200))
def test_no_body_raises_anything_else(body: bytes) -> None:
    try:
        open_request(body)
    except BadRequest:
        return


@given(st.dictionaries(st.sampled_from(["payload", "PayloadType", "signature", "x"]), VALUES))
def test_no_json_raises_anything_else(fields: dict[str, Any]) -> None:
    try:
        request = open_request(msgspec.json.encode(fields))
    except BadRequest:
        return
    assert isinstance(request.payload, str)


@given(st.binary(max_size=100))
def test_base64_is_read(payload: bytes) -> None:
    assert decode_payload(base64.b64encode(payload).decode()) == payload


@given(st.binary(min_size=1, max_size=100), st.integers(1, 20))
def test_line_breaks_in_base64_are_skipped(payload: bytes, width: int) -> None:
    text = base64.b64encode(payload).decode()
    broken = "\r\n".join(text[at : at + width] for at in range(0, len(text), width))
    assert decode_payload(broken) == payload


@given(st.binary(min_size=3, max_size=30), st.sampled_from("!-_ é"), st.text(max_size=10))
def test_base64_ends_at_the_first_wrong_character(payload: bytes, wrong: str, rest: str) -> None:
    sound = base64.b64encode(payload[: len(payload) // 3 * 3]).decode()
    assert decode_payload(sound + wrong + rest) == base64.b64decode(sound)


@given(st.text(max_size=60))
def test_no_text_is_too_broken_for_base64(text: str) -> None:
    assert isinstance(decode_payload(text), bytes)


@given(st.binary(max_size=100))
def test_a_reply_survives_its_envelope(payload: bytes) -> None:
    assert open_reply(seal_reply("getprocessmsg", payload)) == ("getprocessmsg", payload)


@pytest.mark.parametrize(
    "status, raised", [(400, BadRequest), (403, Forbidden), (404, NotFound), (500, ServerError), (503, Unavailable)]
)
def test_an_error_is_raised_again_by_the_client(status: int, raised: type[KolonyError]) -> None:
    with pytest.raises(raised) as caught:
        open_reply(seal_error(KolonyError("what <happened>", status=status)))
    assert (caught.value.status, caught.value.message) == (status, "what <happened>")


@pytest.mark.parametrize("body", [b"", b"null", b"404 page not found", b'{"error": true, "payload": "bm8="}', b"\xff"])
def test_what_is_no_reply_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        open_reply(body)


@given(st.binary(max_size=200))
def test_no_reply_raises_anything_else(body: bytes) -> None:
    try:
        open_reply(body)
    except KolonyError:
        return
