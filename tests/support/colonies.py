"""Servers and colonies for tests: real processes on a real PostgreSQL, spoken to in raw messages."""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from kolony.crypto import PrivateKey

START_TIMEOUT = 30.0


@dataclass(frozen=True)
class Answer:
    """A reply: the HTTP status, and the envelope with its payload decoded."""

    status: int
    payloadtype: str
    error: bool
    payload: Any

    @property
    def message(self) -> str:
        return str(self.payload["message"])


def envelope(message: dict[str, Any] | bytes, key: PrivateKey | None, payloadtype: str | None = None) -> dict[str, str]:
    """A request as a client sends it; the message may be raw bytes."""
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    payload = base64.b64encode(raw)
    return {
        "payloadtype": payloadtype if payloadtype is not None else json.loads(raw)["msgtype"],
        "payload": payload.decode(),
        "signature": key.sign(payload) if key else "",
    }


@dataclass
class Rpc:
    """A client that only knows HTTP and JSON."""

    host: str
    port: int

    def post(self, body: bytes, *, timeout: float = 60) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request("POST", "/api", body, {"Content-Type": "text/plain"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def send(self, body: bytes, *, timeout: float = 60) -> Answer:
        status, reply = self.post(body, timeout=timeout)
        opened = json.loads(reply)
        return Answer(status, opened["payloadtype"], opened["error"], json.loads(base64.b64decode(opened["payload"])))

    def call(self, msgtype: str, key: PrivateKey | None, /, *, timeout_s: float = 60, **fields: Any) -> Answer:
        """Send a message and read the reply, whatever it is."""
        return self.send(json.dumps(envelope({"msgtype": msgtype, **fields}, key)).encode(), timeout=timeout_s)

    def ok(self, msgtype: str, key: PrivateKey | None, /, **fields: Any) -> Any:
        """Send a message that has to succeed; its payload."""
        answer = self.call(msgtype, key, **fields)
        assert answer.status == 200, (msgtype, answer)
        assert not answer.error, (msgtype, answer)
        return answer.payload


class KeptRpc(Rpc):
    """A client that keeps its connection."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self._connection = http.client.HTTPConnection(host, port, timeout=60)

    def post(self, body: bytes, *, timeout: float = 60) -> tuple[int, bytes]:
        self._connection.request("POST", "/api", body, {"Content-Type": "text/plain"})
        response = self._connection.getresponse()
        return response.status, response.read()

    def close(self) -> None:
        self._connection.close()


@dataclass
class RunningServer:
    """A server process with a database of its own."""

    process: subprocess.Popen[bytes]
    port: int
    server_key: PrivateKey
    dsn: str
    log: Path
    host: str = "127.0.0.1"

    @property
    def rpc(self) -> Rpc:
        return Rpc(self.host, self.port)

    def stop(self) -> int:
        """Ask the server to stop, and wait until it has."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=START_TIMEOUT)


@dataclass
class Colony:
    """A colony made for one test, with its owner and a user."""

    server: RunningServer
    name: str
    server_key: PrivateKey
    colony_key: PrivateKey = field(default_factory=PrivateKey.generate)
    user_key: PrivateKey = field(default_factory=PrivateKey.generate)

    @property
    def host(self) -> str:
        return self.server.host

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def rpc(self) -> Rpc:
        return self.server.rpc

    def add_executor(self, name: str, executortype: str = "cli", *, approve: bool = True, **fields: Any) -> PrivateKey:
        """Add an executor with a new key."""
        key = PrivateKey.generate()
        executor = {
            "executorid": key.identity,
            "executorname": name,
            "executortype": executortype,
            "colonyname": self.name,
            **fields,
        }
        self.rpc.ok("addexecutormsg", self.colony_key, executor=executor)
        if approve:
            self.rpc.ok("approveexecutormsg", self.colony_key, colonyname=self.name, executorname=name)
        return key

    def spec(self, **fields: Any) -> dict[str, Any]:
        """A function specification for executors of type ``cli`` of this colony."""
        conditions = {"colonyname": self.name, "executortype": "cli", **fields.pop("conditions", {})}
        return {"funcname": "echo", "maxexectime": -1, "maxwaittime": -1, "conditions": conditions, **fields}

    def submit(self, **fields: Any) -> dict[str, Any]:
        """Submit a function specification as the user; the process."""
        process: dict[str, Any] = self.rpc.ok("submitfuncspecmsg", self.user_key, spec=self.spec(**fields))
        return process

    def assign(self, key: PrivateKey, timeout: int = -1) -> dict[str, Any]:
        """Take a process that has to be there."""
        process: dict[str, Any] = self.rpc.ok("assignprocessmsg", key, colonyname=self.name, timeout=timeout)
        return process


def create_colony(server: RunningServer) -> Colony:
    """A new colony with a user, in a running server."""
    colony = Colony(server, f"colony-{secrets.token_hex(6)}", server.server_key)
    owner = {"colonyid": colony.colony_key.identity, "name": colony.name}
    server.rpc.ok("addcolonymsg", server.server_key, colony=owner)
    user = {"colonyname": colony.name, "userid": colony.user_key.identity, "name": "alice"}
    server.rpc.ok("addusermsg", colony.colony_key, user=user)
    return colony


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def create_database(dsn: str) -> str:
    """A new, empty database of the server behind a connection string; its connection string."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return psycopg.conninfo.make_conninfo(dsn, dbname=name)


def start_server(
    dsn: str, folder: Path, *, server_key: PrivateKey | None = None, port: int | None = None, **environment: str
) -> RunningServer:
    """Start a server on a database and wait until it takes calls."""
    key = server_key or PrivateKey.generate()
    port = port or free_port()
    log = folder / f"server-{port}.log"
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("COLONIES_", "AWS_"))}
    settings |= {
        "COLONIES_SERVER_PORT": str(port),
        "COLONIES_SERVER_HTTP_HOST": "127.0.0.1",
        "COLONIES_DB_DSN": dsn,
        "COLONIES_SERVER_ID": key.identity,
        "TZ": "UTC",
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kolony_apiserver.main"], env=settings, stdout=output, stderr=output
        )
    server = RunningServer(process, port, key, dsn, log)
    _await_ready(server)
    return server


def _await_ready(server: RunningServer) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=5)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.02)  # it does not listen yet, and there is nothing to wait on
        finally:
            connection.close()
    server.process.kill()
    raise RuntimeError(f"the server did not start:\n{server.log.read_text()}")
