"""Lenient decoding: names in any case, ``null`` as zero, unknown and repeated keys, and values to the letter."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from kolony.model.executors import Executor
from kolony.model.functionspecs import FunctionSpec
from kolony.model.processes import Process
from kolony.wire.decoding import Decoder
from kolony.wire.processes import GetProcess, SubmitFunctionSpec

SUBMIT = Decoder(SubmitFunctionSpec[Raw])
TAG = '"msgtype": "submitfuncspecmsg"'


def decode_spec(text: str) -> FunctionSpec[Raw]:
    message = SUBMIT.decode(f'{{{TAG}, "spec": {text}}}')
    assert message.spec is not None
    return message.spec


@pytest.mark.parametrize(
    "text",
    [
        '{"msgtype": "getprocessmsg", "processid": "p"}',
        '{"MSGTYPE": "getprocessmsg", "ProcessId": "p"}',
        '{"processID": "p", "MsgType": "getprocessmsg", "unknown": {"deep": [1]}}',
        '{"msgtype": "getprocessmsg", "processid": "older", "processid": "p"}',
        '{"msgtype": "getprocessmsg", "processid": "p", "PROCESSID": "other"}',
        '{"msgtype": "getprocessmsg", "PROCESSID": "other", "processid": "p"}',
        '{"msgtype": "getprocessmsg", "PROCESSID": null, "processid": "p"}',
    ],
)
def test_names_of_fields(text: str) -> None:
    assert Decoder(GetProcess).decode(text) == GetProcess(processid="p")


def test_the_last_of_two_odd_names_wins() -> None:
    text = '{"msgtype": "getprocessmsg", "ProcessId": "a", "PROCESSID": "b"}'
    assert Decoder(GetProcess).decode(text) == GetProcess(processid="b")


def test_null_is_zero_everywhere() -> None:
    spec = decode_spec(
        '{"funcname": null, "args": null, "kwargs": null, "priority": null, "env": {"a": null}, "label": "l",'
        ' "conditions": {"executornames": ["x", null], "gpu": null, "nodes": null, "locationname": null},'
        ' "fs": {"dirs": [{"label": null, "DIR": "d", "onconflicts": {"onstart": null}}, null]}}'
    )
    plain = decode_spec(
        '{"env": {"a": ""}, "label": "l", "conditions": {"executornames": ["x", ""]},'
        ' "fs": {"dirs": [{"dir": "d"}, {}]}}'
    )
    assert spec == plain


def test_a_null_reply_field_is_zero() -> None:
    process = Decoder(Process).decode('{"in": null, "out": null, "errors": null, "spec": null, "starttime": null}')
    assert process == Process()


@pytest.mark.parametrize(
    "number", ["1", "1.0", "-0.0", "1e2", "1E400", "12345678901234567890123", "0.1000000000000000055511151231257827"]
)
@pytest.mark.parametrize("odd", ["", ', "Unknown": 1', ', "PRIORITY": null'])
def test_values_survive_to_the_letter(number: str, odd: str) -> None:
    values = f'{{"a": {number},  "b": [ {number}, null , "\\u00e9" ]}}'
    spec = decode_spec(f'{{"args": [{values}, {number}, null], "kwargs": {{"K": {values}}}{odd}}}')
    assert [bytes(value).decode() for value in spec.args] == [values, number, "null"]
    assert {key: bytes(value).decode() for key, value in spec.kwargs.items()} == {"K": values}


@pytest.mark.parametrize(
    "spec",
    [
        '{"priority": 1.0}',
        '{"priority": 1e2}',
        '{"priority": "1"}',
        '{"priority": true}',
        '{"funcname": 1}',
        '{"FuncName": 1}',
        '{"args": {}}',
        '{"ARGS": "x"}',
        '{"conditions": []}',
        '{"env": {"a": 1}}',
        "[]",
        '"spec"',
    ],
)
def test_wrong_types_are_refused(spec: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_spec(spec)


@pytest.mark.parametrize("time", ['""', '"yesterday"', '"2026-01-01"', "5"])
def test_a_time_is_rfc_3339(time: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        Decoder(Executor).decode(f'{{"commissiontime": {time}}}')


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "5", '{"msgtype": "getprocessmsg"} x', "{'msgtype': 1}"])
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        Decoder(GetProcess).decode(text)


def test_another_message_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        Decoder(GetProcess).decode('{"msgtype": "closefailedmsg", "processid": "p"}')


@pytest.mark.parametrize("text", ['"a\\u0000"', '{"a\\u0000": 1}', '[[{"x": "\\u0000"}]]'])
def test_nul_is_refused_wherever_it_is(text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="NUL"):
        decode_spec(f'{{"args": [{text}]}}')


def test_an_escaped_backslash_is_no_nul() -> None:
    assert bytes(decode_spec('{"args": ["\\\\u0000"]}').args[0]) == b'"\\\\u0000"'


NAMES = ["msgtype", "spec", "funcname", "args", "kwargs", "conditions", "executornames", "fs", "dirs", "fresh", "x"]


def in_odd_case(name: str) -> st.SearchStrategy[str]:
    return st.lists(st.booleans(), min_size=len(name), max_size=len(name)).map(
        lambda upper: "".join(letter.upper() if up else letter for letter, up in zip(name, upper, strict=True))
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.sampled_from(NAMES).flatmap(in_odd_case), values, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_json_raises_anything_else(value: Any) -> None:
    try:
        SUBMIT.decode(json.dumps(value))
    except msgspec.MsgspecError:
        return


@given(JSON)
def test_no_spec_raises_anything_else(value: Any) -> None:
    try:
        SUBMIT.decode(f'{{{TAG}, "spec": {json.dumps(value)}}}')
    except msgspec.MsgspecError:
        return


@given(st.text(max_size=100))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        SUBMIT.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return


@given(
    values=st.lists(JSON, max_size=4),
    names=st.tuples(*map(in_odd_case, ("spec", "funcname", "args", "label"))),
    extra=JSON,
)
def test_odd_names_mean_what_plain_ones_do(values: list[Any], names: tuple[str, ...], extra: Any) -> None:
    spec, funcname, args, label = names
    odd = {"msgtype": "submitfuncspecmsg", spec: {funcname: "f", args: values, label: None, "extra": extra}}
    if "\\u0000" in (text := json.dumps(odd)):
        return
    message = SUBMIT.decode(text)
    assert message.spec is not None
    assert (message.spec.funcname, message.spec.label) == ("f", "")
    assert [bytes(value).decode() for value in message.spec.args] == [json.dumps(value) for value in values]
