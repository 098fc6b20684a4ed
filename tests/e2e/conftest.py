"""Fixtures of the tests on a cluster: the cluster, a namespace per test, and access with chosen rights."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from clusters import Cluster, open_cluster
from gates import Gate
from native import kubeconfig

OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with open_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace with the Role of the documentation in it."""
    name = f"kolony-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    (role,) = re.findall(r"```yaml\n(.*?kind: Role\n.*?)```", OPERATIONS, re.DOTALL)
    cluster.kubectl("--namespace", name, "apply", "--filename=-", given=role)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@dataclass(frozen=True)
class Access:
    """How one server reaches the cluster: a service account, through a gate of its own."""

    kubeconfig: Path
    gate: Gate


@pytest.fixture
def new_access(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Callable[..., Access]]:
    """Makes service accounts, which may do what the documentation grants unless they are to have no rights."""
    with ExitStack() as stack:

        def make(*, rights: bool = True) -> Access:
            name = f"server-{secrets.token_hex(3)}"
            here = ["--namespace", namespace]
            cluster.kubectl("create", "serviceaccount", name, *here)
            if rights:
                account = f"--serviceaccount={namespace}:{name}"
                cluster.kubectl("create", "rolebinding", name, "--role=kolony-lease", account, *here)
            token = cluster.kubectl("create", "token", name, *here).strip()
            address = cluster.address()
            server = urlsplit(address["server"])
            gate = stack.enter_context(Gate(server.hostname or "", server.port or 443))
            through = {"tls-server-name": server.hostname or "", **address, "server": f"https://127.0.0.1:{gate.port}"}
            file = tmp_path / f"{name}.json"
            file.write_text(json.dumps(kubeconfig(through, {"token": token}, namespace)))
            return Access(file, gate)

        yield make
