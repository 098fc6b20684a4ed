"""A Kubernetes cluster of our own that needs no container engine: etcd and an API server on this machine.

Everything listens on loopback, on ports that were free, so that clusters do not meet. The folder holds the state,
keys and certificates, a log per program, `kubeconfig` for an administrator, and `processes`: what was started.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from binaries import installed
from colonies import free_port

_START_TIMEOUT = 120.0
"""Seconds for a start; a machine with two cores takes ten."""

_KEY = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]

_AUTHORITY = "subjectKeyIdentifier=hash\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
_SERVER = "authorityKeyIdentifier=keyid\nextendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1,DNS:localhost\n"
_CLIENT = "authorityKeyIdentifier=keyid\nextendedKeyUsage=clientAuth\n"


class NativeCluster:
    """A cluster with its state in a folder; when it is tied to this process, the kernel ends it with us."""

    def __init__(self, folder: Path, *, tied: bool) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self._folder = folder.resolve()
        self._record = folder / "processes"
        self._children: list[psutil.Process] = []
        self._prefix = ["setpriv", "--pdeathsig=KILL", "--"] if tied else []

    @property
    def running(self) -> list[psutil.Process]:
        """What was started, by whichever process, and has not ended."""
        if not self._record.exists():
            return []
        found = []
        for pid in json.loads(self._record.read_text()):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process = psutil.Process(pid)
                # A number of a process that ended may belong to somebody else by now.
                if process.cwd() == str(self._folder) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def start(self) -> None:
        """Start the cluster in an empty folder and return when its API answers."""
        programs = installed()
        self._environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._make_keys()
            etcd, peers, api = (free_port() for _ in range(3))
            self._start_etcd(f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peers}")
            self._start_apiserver(f"http://127.0.0.1:{etcd}", api)
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End what runs. Nobody needs the state afterwards, so nothing gets the time to save it."""
        processes = self._children or self.running
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes)

    def _make_keys(self) -> None:
        self._openssl("genpkey", *_KEY, "-out", "serviceaccounts.key")
        self._openssl("pkey", "-in", "serviceaccounts.key", "-pubout", "-out", "serviceaccounts.pub")
        self._certify("ca", "/CN=kolony-tests", _AUTHORITY)
        self._certify("apiserver", "/CN=kube-apiserver", _SERVER)
        self._certify("admin", "/O=system:masters/CN=admin", _CLIENT)

    def _certify(self, name: str, subject: str, extensions: str) -> None:
        """Make a key, and a certificate for it by the authority, or by itself for the authority."""
        self._openssl("genpkey", *_KEY, "-out", f"{name}.key")
        self._openssl("req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
        (self._folder / f"{name}.ext").write_text(extensions)
        signer = ["-signkey", "ca.key"] if name == "ca" else ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-days", "3650", *signer),
            *("-extfile", f"{name}.ext", "-out", f"{name}.crt"),
        )

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)

    def _start_etcd(self, address: str, peers: str) -> None:
        self._start(
            "etcd",
            "--data-dir=etcd",
            f"--listen-client-urls={address}",
            f"--advertise-client-urls={address}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",
        )

    def _start_apiserver(self, etcd: str, port: int) -> None:
        self._start(
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--secure-port={port}",
            "--tls-cert-file=apiserver.crt",
            "--tls-private-key-file=apiserver.key",
            "--client-ca-file=ca.crt",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=serviceaccounts.pub",
            "--service-account-signing-key-file=serviceaccounts.key",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
        )
        access = kubeconfig(
            {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(self._folder / "ca.crt")},
            {"client-certificate": str(self._folder / "admin.crt"), "client-key": str(self._folder / "admin.key")},
        )
        self.kubeconfig.write_text(json.dumps(access))

    def _start(self, name: str, *arguments: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = psutil.Popen(
                [*self._prefix, name, *arguments],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children.append(process)
        self._record.write_text(json.dumps([each.pid for each in self._children]))

    def _await_ready(self) -> None:
        question = ["kubectl", "--kubeconfig", self.kubeconfig, "get", "--raw", "/readyz"]
        deadline = time.monotonic() + _START_TIMEOUT
        while subprocess.run(question, env=self._environment, capture_output=True, check=False).returncode != 0:
            if len(self.running) < 2 or time.monotonic() > deadline:
                logs = sorted(self._folder.glob("*.log"))
                last = "\n".join(f"{log.name}:\n{_last_lines(log)}" for log in logs)
                raise RuntimeError(f"the cluster in {self._folder} did not start\n{last}")
            time.sleep(0.2)  # its API has nothing to wait on before it answers


def kubeconfig(cluster: Mapping[str, str], user: Mapping[str, str], namespace: str = "default") -> dict[str, Any]:
    """What tells a client how to reach a cluster as a user."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "kolony", "cluster": dict(cluster)}],
        "users": [{"name": "kolony", "user": dict(user)}],
        "contexts": [{"name": "kolony", "context": {"cluster": "kolony", "user": "kolony", "namespace": namespace}}],
        "current-context": "kolony",
    }


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])
