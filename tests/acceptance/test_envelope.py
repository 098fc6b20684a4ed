"""The envelope: paths and verbs, CORS, the JSON that is read and written, signatures, and what is checked first."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from answers import refusal
from colonies import Colony, RunningServer, envelope

from kolony.crypto import PrivateKey

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FOREIGN = "https://elsewhere.example"
NOT_FOUND = b"404 page not found"


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def ask(server: RunningServer, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
    """One HTTP request, whatever its answer."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        return Response(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )
    finally:
        connection.close()


def signed(text: str, key: PrivateKey, msgtype: str) -> bytes:
    """The body of a request with this text as its message."""
    return json.dumps(envelope(text.encode(), key, msgtype)).encode()


# Paths, verbs, headers


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/"),
        ("GET", "/api"),
        ("PUT", "/api"),
        ("DELETE", "/api"),
        ("OPTIONS", "/api"),
        ("GET", "/api/"),
        ("POST", "/api/v1"),
        ("POST", "/health"),
        ("POST", "/health/"),
        ("POST", "/pubsub"),
        ("OPTIONS", "/pubsub"),
        ("GET", "/version"),
        ("GET", "/metrics"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("POST", "/relay"),
        ("GET", "/%00"),
        ("GET", "/a/b%2fc/%ff"),
    ],
)
def test_nothing_else_is_served(server: RunningServer, method: str, path: str) -> None:
    response = ask(server, method, path)
    assert (response.status, response.headers["content-type"], response.body) == (404, "text/plain", NOT_FOUND)


@pytest.mark.parametrize("path", ["/health", "/api", "/nowhere"])
def test_head_is_not_served(server: RunningServer, path: str) -> None:
    assert ask(server, "HEAD", path).status == 404


@pytest.mark.parametrize(
    "method, path, status, location",
    [
        ("GET", "/health/", 301, "/health"),
        ("GET", "/pubsub/", 301, "/pubsub"),
        ("POST", "/api/", 307, "/api"),
    ],
)
def test_a_slash_too_much_is_redirected(
    server: RunningServer, method: str, path: str, status: int, location: str
) -> None:
    response = ask(server, method, path)
    assert (response.status, response.headers["location"]) == (status, location)


def test_health(server: RunningServer) -> None:
    response = ask(server, "GET", "/health")
    assert (response.status, response.body) == (200, b"")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["content-length"] == "0"


def test_pubsub_needs_an_upgrade(server: RunningServer) -> None:
    response = ask(server, "GET", "/pubsub")
    assert (response.status, response.body.strip()) == (400, b"Bad Request")
    assert response.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/octet-stream", "nonsense"])
def test_any_content_type_is_read(colony: Colony, content_type: str) -> None:
    body = signed(f'{{"msgtype":"getcolonymsg","colonyname":"{colony.name}"}}', colony.user_key, "getcolonymsg")
    response = ask(colony.server, "POST", "/api", body, **{"Content-Type": content_type, "Accept": "image/png"})
    assert (response.status, response.headers["content-type"]) == (200, "text/plain; charset=utf-8")


@pytest.mark.parametrize("body", [b"", b'{"payloadtype":"versionmsg"}', b'{"payloadtype":"nonsense"}'])
def test_failures_are_plain_text_too(server: RunningServer, body: bytes) -> None:
    assert ask(server, "POST", "/api", body).headers["content-type"] == "text/plain; charset=utf-8"


# CORS


@pytest.mark.parametrize("path", ["/api", "/health", "/pubsub", "/nowhere"])
def test_a_preflight_is_answered_on_every_path(server: RunningServer, path: str) -> None:
    response = ask(server, "OPTIONS", path, Origin=FOREIGN)
    assert (response.status, response.body) == (204, b"")
    assert {name: value for name, value in response.headers.items() if name.startswith("access-control")} == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
        "access-control-allow-headers": "Origin,Content-Length,Content-Type",
        "access-control-max-age": "43200",
    }


@pytest.mark.parametrize(
    "method, path, status",
    [("GET", "/health", 200), ("POST", "/api", 400), ("GET", "/nowhere", 404), ("GET", "/health/", 301)],
)
def test_a_foreign_origin_may_read(server: RunningServer, method: str, path: str, status: int) -> None:
    response = ask(server, method, path, Origin=FOREIGN)
    assert response.status == status
    assert [name for name in response.headers if name.startswith("access-control")] == ["access-control-allow-origin"]
    assert response.headers["access-control-allow-origin"] == "*"
    assert "vary" not in response.headers


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("method, path, status", [("OPTIONS", "/api", 404), ("GET", "/health", 200)])
def test_the_own_origin_is_nothing_special(
    server: RunningServer, scheme: str, method: str, path: str, status: int
) -> None:
    response = ask(server, method, path, Origin=f"{scheme}://{server.host}:{server.port}")
    assert response.status == status
    assert not [name for name in response.headers if name.startswith("access-control")]


# Replies


def test_a_reply_has_three_keys_in_order(colony: Colony) -> None:
    body = signed(f'{{"msgtype":"getcolonymsg","colonyname":"{colony.name}"}}', colony.user_key, "getcolonymsg")
    reply = ask(colony.server, "POST", "/api", body).body
    payload = f'{{"colonyid":"{colony.colony_key.identity}","name":"{colony.name}"}}'.encode()
    assert list(json.loads(reply).items()) == [
        ("payloadtype", "getcolonymsg"),
        ("payload", base64.b64encode(payload).decode()),
        ("error", False),
    ]


def test_an_rpc_with_nothing_to_say_replies_with_an_empty_object(colony: Colony) -> None:
    assert colony.rpc.ok("pauseassignmentsmsg", colony.colony_key, colonyname=colony.name) == {}


def test_an_error_has_the_status_of_http(server: RunningServer) -> None:
    response = ask(server, "POST", "/api", b'{"payloadtype":"getcolonymsg"}')
    reply = json.loads(response.body)
    assert list(reply) == ["payloadtype", "payload", "error"]
    assert (reply["payloadtype"], reply["error"], response.status) == ("error", True, 403)
    error = json.loads(base64.b64decode(reply["payload"]))
    assert list(error.items()) == [("status", 403), ("message", "Invalid signature length")]


# What is read


@pytest.mark.parametrize(
    "names",
    [
        ("payloadtype", "payload", "signature"),
        ("PAYLOADTYPE", "PAYLOAD", "SIGNATURE"),
        ("PayloadType", "payLoad", "sIgnature"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"unknown": [{"payload": 1}]}, {"unknown": None}])
def test_names_in_the_envelope_may_be_in_any_case(colony: Colony, names: tuple[str, ...], more: dict[str, Any]) -> None:
    message = {"msgtype": "getcolonymsg", "colonyname": colony.name}
    sent = dict(zip(names, envelope(message, colony.user_key).values(), strict=True))
    assert colony.rpc.send(json.dumps(sent | more).encode()).status == 200


@pytest.mark.parametrize(
    "text",
    [
        '{"msgtype":"getcolonymsg","colonyname":"$NAME"}',
        '{"colonyname":"$NAME","msgtype":"getcolonymsg"}',
        ' { "msgtype" : "getcolonymsg" ,\n "colonyname" : "$NAME" } \r\n\t',
        '{"MSGTYPE":"getcolonymsg","COLONYNAME":"$NAME"}',
        '{"ColonyName":"$NAME","MsgType":"getcolonymsg"}',
        '{"msgtype":"getcolonymsg","colonyname":"$NAME","COLONYNAME":"other"}',
        '{"msgtype":"getcolonymsg","colonyname":"other","colonyname":"$NAME"}',
        '{"msgtype":"getcolonymsg","colonyname":"$NAME","unknown":{"colonyname":"other","msgtype":"x"}}',
        '{"msgtype":"getcolonymsg","colonyname":"$NAME","fresh":null,"unknown":null}',
    ],
)
def test_one_message_may_be_written_in_many_ways(colony: Colony, text: str) -> None:
    answer = colony.rpc.send(signed(text.replace("$NAME", colony.name), colony.user_key, "getcolonymsg"))
    assert (answer.status, answer.payload["name"]) == (200, colony.name)


def test_null_and_absent_are_zero(colony: Colony) -> None:
    process = colony.rpc.ok(
        "submitfuncspecmsg",
        colony.user_key,
        spec={
            "funcname": None,
            "args": None,
            "kwargs": None,
            "priority": None,
            "env": None,
            "fs": None,
            "channels": None,
            "conditions": {"colonyname": colony.name, "executortype": None, "gpu": None, "nodes": None, "cpu": None},
        },
    )
    plain = colony.rpc.ok("submitfuncspecmsg", colony.user_key, spec={"conditions": {"colonyname": colony.name}})
    assert process["spec"] == plain["spec"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"x",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"5",
        b'{"payloadtype":5}',
        b'{"payload":{}}',
        b'{"signature":["a"]}',
        b'{"payloadtype":"getcolonymsg"} {}',
        b'{"payloadtype":"getcolonymsg"}x',
        b'{"payloadtype":"getcolonymsg",}',
        b"{'payloadtype':'getcolonymsg'}",
        b'{"payloadtype":"\xff"}',
        b'\xef\xbb\xbf{"payloadtype":"versionmsg"}',
    ],
)
def test_what_is_no_envelope_is_refused(server: RunningServer, body: bytes) -> None:
    status, _ = refusal(server.rpc.send(body))
    assert status == 400


@pytest.mark.parametrize(
    "text",
    [
        '{"msgtype":"submitfuncspecmsg","spec":{"priority":1.0}}',
        '{"msgtype":"submitfuncspecmsg","spec":{"priority":1e1}}',
        '{"msgtype":"submitfuncspecmsg","spec":{"priority":"1"}}',
        '{"msgtype":"submitfuncspecmsg","spec":{"priority":true}}',
        '{"msgtype":"submitfuncspecmsg","spec":{"funcname":1}}',
        '{"msgtype":"submitfuncspecmsg","spec":{"args":{}}}',
        '{"msgtype":"submitfuncspecmsg","spec":{"kwargs":[]}}',
        '{"msgtype":"submitfuncspecmsg","spec":{"env":{"A":1}}}',
        '{"msgtype":"submitfuncspecmsg","spec":{"conditions":[]}}',
        '{"msgtype":"submitfuncspecmsg","spec":{"conditions":{"executornames":"e1"}}}',
        '{"msgtype":"submitfuncspecmsg","spec":"echo"}',
        '{"msgtype":"submitfuncspecmsg","spec":{}} {}',
        '{"msgtype":"submitfuncspecmsg","spec":{}}x',
        '{"msgtype":"submitfuncspecmsg","spec":{}',
        "null",
        "[]",
        "5",
        '"submitfuncspecmsg"',
        "",
    ],
)
def test_types_are_strict(colony: Colony, text: str) -> None:
    answer = colony.rpc.send(signed(text, colony.user_key, "submitfuncspecmsg"))
    assert refusal(answer) == (400, "Failed to submit process, invalid JSON")


@pytest.mark.parametrize("time", ['""', '"yesterday"', '"2026-01-01"', "1795366573", "{}"])
def test_a_time_is_rfc_3339(colony: Colony, time: str) -> None:
    text = f'{{"msgtype":"addexecutormsg","executor":{{"colonyname":"{colony.name}","commissiontime":{time}}}}}'
    answer = colony.rpc.send(signed(text, colony.colony_key, "addexecutormsg"))
    assert refusal(answer) == (400, "Failed to add executor, invalid JSON")


def cut_after(text: str) -> Callable[[str], str]:
    return lambda payload: payload + text


@pytest.mark.parametrize(
    "write",
    [
        cut_after("!garbage"),
        cut_after("\n"),
        cut_after("\u00e9"),
        lambda payload: "\r\n".join(payload[at : at + 7] for at in range(0, len(payload), 7)),
    ],
    ids=["garbage after it", "a line break after it", "no ASCII after it", "broken into lines"],
)
def test_base64_is_read_up_to_the_first_wrong_character(colony: Colony, write: Callable[[str], str]) -> None:
    # as long as a multiple of three, so that no padding ends it early
    text = f'{{"msgtype":"getcolonymsg","colonyname":"{colony.name}"}}'
    text += " " * (-len(text) % 3)
    payload = write(base64.b64encode(text.encode()).decode())
    request = {
        "payloadtype": "getcolonymsg",
        "payload": payload,
        "signature": colony.user_key.sign(payload.encode()),
    }
    assert colony.rpc.send(json.dumps(request).encode()).status == 200


@pytest.mark.parametrize("payload", ["", "!", "not base64 at all", "e", "eyJ", "-_-_"])
def test_what_is_left_of_broken_base64_is_no_message(colony: Colony, payload: str) -> None:
    request = {
        "payloadtype": "getcolonymsg",
        "payload": payload,
        "signature": colony.user_key.sign(payload.encode()),
    }
    answer = colony.rpc.send(json.dumps(request).encode())
    assert refusal(answer) == (400, "Failed to get colony, invalid JSON")


# Payload types


@pytest.mark.parametrize(
    "payloadtype",
    [
        "nonsense",
        "GETCOLONYMSG",
        "getcolonymsg ",
        "error",
        "pausestatusreplymsg",
        # only on the WebSocket
        "subscribeprocessmsg",
        "subscribeprocessesmsg",
        # declared and never served
        "getnodemsg",
        "getnodesmsg",
        "getnodesbylocationmsg",
    ],
)
def test_an_unknown_payload_type(colony: Colony, payloadtype: str) -> None:
    answer = colony.rpc.send(signed("{}", colony.user_key, payloadtype))
    assert refusal(answer) == (403, f"invalid rpcMsg.PayloadType: {payloadtype}")


def test_an_empty_payload_type_is_explained(colony: Colony) -> None:
    status, text = refusal(colony.rpc.send(signed("{}", colony.user_key, "")))
    assert (status, text) == (
        403,
        "invalid rpcMsg.PayloadType: empty (this usually means the client is misconfigured - check that"
        " COLONIES_PRVKEY and other environment variables are set correctly)",
    )


def test_the_signature_comes_before_the_payload_type(colony: Colony) -> None:
    request = {"payloadtype": "nonsense", "payload": "", "signature": "00"}
    assert refusal(colony.rpc.send(json.dumps(request).encode())) == (403, "Invalid signature length")


def test_the_message_is_read_before_the_caller_is_looked_at(colony: Colony) -> None:
    answer = colony.rpc.send(signed("{", PrivateKey.generate(), "getcolonymsg"))
    assert refusal(answer) == (400, "Failed to get colony, invalid JSON")


# Messages without a signature


@pytest.mark.parametrize("signature", ["", "nonsense", "00" * 65])
def test_the_version_needs_no_signature(server: RunningServer, signature: str) -> None:
    payload = base64.b64encode(b'{"msgtype":"versionmsg","buildversion":"","buildtime":""}').decode()
    answer = server.rpc.send(
        json.dumps({"payloadtype": "versionmsg", "payload": payload, "signature": signature}).encode()
    )
    assert (answer.status, list(answer.payload)) == (200, ["buildversion", "buildtime", "msgtype"])


@pytest.mark.parametrize("payload", ["", "!!!", "bm8gSlNPTg==", None])
def test_the_server_info_looks_at_nothing(server: RunningServer, payload: str | None) -> None:
    answer = server.rpc.send(json.dumps({"payloadtype": "getserverinfomsg", "payload": payload}).encode())
    assert (answer.status, answer.payloadtype) == (200, "getserverinfomsg")


# Signatures


def resigned(change: Callable[[bytes], bytes | str]) -> Callable[[str], str]:
    """A signature made from an honest one."""

    def make(signature: str) -> str:
        changed = change(bytes.fromhex(signature))
        return changed if isinstance(changed, str) else changed.hex()

    return make


def with_v(change: Callable[[int], int]) -> Callable[[str], str]:
    return resigned(lambda raw: raw[:64] + bytes((change(raw[64]),)))


def high_s(raw: bytes) -> bytes:
    """The other signature over the same text, which anyone can make from the first."""
    s = ORDER - int.from_bytes(raw[32:64], "big")
    return raw[:32] + s.to_bytes(32, "big") + bytes((raw[64] ^ 1,))


@pytest.mark.parametrize(
    "change",
    [str, str.upper, with_v(lambda v: v + 4)],
    ids=["as signed", "in upper case", "with a recovery id of 4 to 7"],
)
def test_signatures_that_are_accepted(colony: Colony, change: Callable[[str], str]) -> None:
    request = envelope({"msgtype": "getcolonymsg", "colonyname": colony.name}, colony.user_key)
    request["signature"] = change(request["signature"])
    assert colony.rpc.send(json.dumps(request).encode()).status == 200


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda signature: "", "Invalid signature length"),
        (lambda signature: signature[:-2], "Invalid signature length"),
        (lambda signature: signature + "00", "Invalid signature length"),
        (lambda signature: signature[:-1] + "z", "Invalid signature"),
        (lambda signature: signature[:-1], "Invalid signature"),
        (resigned(high_s), "Failed verify signature: Signature s value is over half the order"),
        (with_v(lambda v: v + 8), "Failed to recover public key"),
        (with_v(lambda v: v + 27), "Failed to recover public key"),
        (resigned(lambda raw: bytes(32) + raw[32:]), "Failed to recover public key"),
        (resigned(lambda raw: raw[:32] + bytes(32) + raw[64:]), "Failed to recover public key"),
        (resigned(lambda raw: ORDER.to_bytes(32, "big") + raw[32:]), "Failed to recover public key"),
    ],
    ids=["none", "short", "long", "no hex", "odd", "high S", "V is 8", "V is 27", "R is 0", "S is 0", "R too large"],
)
def test_signatures_that_are_refused(colony: Colony, change: Callable[[str], str], text: str) -> None:
    request = envelope({"msgtype": "getcolonymsg", "colonyname": colony.name}, colony.user_key)
    request["signature"] = change(request["signature"])
    status, message = refusal(colony.rpc.send(json.dumps(request).encode()))
    assert status == 403
    assert message.startswith(text)


def test_another_message_under_the_signature_is_another_caller(colony: Colony) -> None:
    request = envelope({"msgtype": "getcolonymsg", "colonyname": colony.name}, colony.user_key)
    other = envelope({"msgtype": "getusersmsg", "colonyname": colony.name}, colony.user_key)
    request["signature"] = other["signature"]
    answer = colony.rpc.send(json.dumps(request).encode())
    assert refusal(answer) == (403, f"Access denied, not a member of Colony with name <{colony.name}>")


def test_the_payload_type_is_not_signed_but_compared(colony: Colony) -> None:
    request = envelope({"msgtype": "getcolonymsg", "colonyname": colony.name}, colony.user_key)
    request["payloadtype"] = "getusersmsg"
    answer = colony.rpc.send(json.dumps(request).encode())
    assert refusal(answer) == (400, "Failed to get users, msg.MsgType does not match payloadType")


VECTORS = {
    "compact": (
        "eyJtc2d0eXBlIjoiZ2V0Y29sb25pZXNtc2cifQ==",
        "076be61bb47c66bca6836b4c5b13a39d114423bf34592f84fd7f28762437d968"
        "5eb51ede280d1a1a70cfacc3920785e4fceef912d56fc97fedbcd001b370f789"
        "00",
    ),
    "spaced": (
        "eyJtc2d0eXBlIjogImdldGNvbG9uaWVzbXNnIn0=",
        "efb078db24a8ff0d550d713e649bc749a482ae993908778efd77306f6544478c"
        "4a58398172728ce66ac2d4946776735f366ec7dc7b5f811d76cd096db1403ab6"
        "01",
    ),
}


@pytest.mark.parametrize("vector", VECTORS)
def test_the_vectors_of_the_protocol_are_accepted(example_server: RunningServer, vector: str) -> None:
    payload, signature = VECTORS[vector]
    request = {"payloadtype": "getcoloniesmsg", "payload": payload, "signature": signature}
    assert example_server.rpc.send(json.dumps(request).encode()).status == 200


def test_one_envelope_sent_again_counts_again(colony: Colony) -> None:
    body = json.dumps(envelope({"msgtype": "submitfuncspecmsg", "spec": colony.spec()}, colony.user_key)).encode()
    processes = {colony.rpc.send(body).payload["processid"] for _ in range(5)}
    waiting = colony.rpc.ok("getprocessesmsg", colony.user_key, colonyname=colony.name, state=0, count=100)
    assert {process["processid"] for process in waiting} == processes
    assert len(processes) == 5


# Identities and times


def test_an_identity_in_upper_case_is_nobody(colony: Colony) -> None:
    key = PrivateKey.generate()
    user = {"colonyname": colony.name, "userid": key.identity.upper(), "name": "loud"}
    colony.rpc.ok("addusermsg", colony.colony_key, user=user)
    answer = colony.rpc.call("getcolonymsg", key, colonyname=colony.name)
    assert refusal(answer) == (403, f"Access denied, not a member of Colony with name <{colony.name}>")


def test_times_are_written_in_the_zone_of_the_server(new_server: Callable[..., RunningServer]) -> None:
    server = new_server(TZ="Europe/Stockholm")
    colony = {"colonyid": server.server_key.identity, "name": "dev"}
    server.rpc.ok("addcolonymsg", server.server_key, colony=colony)
    sent = {"colonyname": "dev", "executorname": "e1", "executorid": "e" * 64}
    added = server.rpc.ok("addexecutormsg", server.server_key, executor=sent)
    assert added["commissiontime"][-6:] in ("+01:00", "+02:00")
    assert added["lastheardfromtime"] == "0001-01-01T00:00:00Z"
    later = {**sent, "executorname": "e2", "executorid": "f" * 64, "lastheardfromtime": "2021-06-01T00:00:00.1+02:00"}
    assert server.rpc.ok("addexecutormsg", server.server_key, executor=later)["lastheardfromtime"] in (
        "2021-06-01T00:00:00.1+02:00",
        "2021-06-01T00:00:00.100000+02:00",
    )
