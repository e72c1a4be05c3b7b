"""A real Kubernetes API server with the Job and CronJob controllers, and no nodes: tests say how pods end."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import trustme
from tests.support import kubernetes_build
from tests.support.programs import Process, free_port, get, start, stop_all, wait_until

ADMIN = "an-administrators-token"
CONTROLLERS = "job,cronjob,namespace,serviceaccount,serviceaccount-token,resourcequota,garbagecollector"
MERGE = {"Content-Type": "application/merge-patch+json"}


@dataclass
class KubernetesServer:
    """A running server; `stop` ends it with all that belongs to it."""

    url: str
    folder: Path
    programs: Path
    processes: list[Process] = field(default_factory=list)
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def token_file(self) -> Path:
        """Of an administrator."""
        return self.folder / "admin.token"

    def stop(self) -> None:
        self.session.close()
        stop_all(self.processes)

    # REST

    def get(self, path: str, **params: str) -> dict[str, Any]:
        return self._send("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._send("POST", path, json=body)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._send("PATCH", path, data=json.dumps(body), headers=MERGE)

    def delete(self, path: str, policy: str = "Background") -> dict[str, Any]:
        return self._send("DELETE", path, json={"propagationPolicy": policy})

    def _send(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        answer = self.session.request(method, self.url + path, timeout=30, verify=str(self.ca_file), **what)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text[:800]}"
        reply: dict[str, Any] = answer.json()
        return reply

    def kubectl(self, *arguments: str) -> str:
        """What Kubernetes' own client says."""
        command = [self.programs / "kubectl", "--kubeconfig", self.folder / "kubeconfig", *arguments]
        environment = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout

    # What tests tell it

    def namespace(self, name: str) -> str:
        """A new namespace; returns when pods may be made in it."""
        self.post("/api/v1/namespaces", {"metadata": {"name": name}})
        self.until(lambda: self.get(f"/api/v1/namespaces/{name}/serviceaccounts")["items"], "a service account")
        return name

    def account(self, manifests: list[dict[str, Any]]) -> Path:
        """Create a service account with its rights, given as manifests; the file with its token."""
        rights = "/apis/rbac.authorization.k8s.io/v1"
        paths = {
            "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
            "Role": rights + "/namespaces/{namespace}/roles",
            "RoleBinding": rights + "/namespaces/{namespace}/rolebindings",
            "ClusterRole": rights + "/clusterroles",
            "ClusterRoleBinding": rights + "/clusterrolebindings",
        }
        for item in manifests:
            self.post(paths[item["kind"]].format(**item["metadata"]), item)
        [account] = [item["metadata"] for item in manifests if item["kind"] == "ServiceAccount"]
        path = paths["ServiceAccount"].format(**account) + "/" + account["name"]
        self.until(lambda: self.get(path).get("secrets"), "the account has a token")
        secret = self.get(path)["secrets"][0]["name"]
        data = self.get(f"/api/v1/namespaces/{account['namespace']}/secrets/{secret}")["data"]
        file = self.folder / f"{account['name']}.token"
        file.write_bytes(base64.b64decode(data["token"]))
        return file

    def job(self, namespace: str, name: str, labels: dict[str, str] | None = None, **spec: Any) -> str:
        """Create a Job; its uid."""
        pod = {"restartPolicy": "Never", "containers": [{"name": "train", "image": "none"}]}
        body = {"metadata": _named(name, labels), "spec": {"backoffLimit": 0, **spec, "template": {"spec": pod}}}
        return str(self.post(f"/apis/batch/v1/namespaces/{namespace}/jobs", body)["metadata"]["uid"])

    def cron_job(self, namespace: str, name: str, labels: dict[str, str] | None = None, **spec: Any) -> str:
        """Create a CronJob; its uid."""
        pod = {"restartPolicy": "Never", "containers": [{"name": "train", "image": "none"}]}
        template = {"spec": {"backoffLimit": 0, "template": {"spec": pod}}}
        body = {"metadata": _named(name, labels), "spec": {**spec, "jobTemplate": template}}
        return str(self.post(f"/apis/batch/v1beta1/namespaces/{namespace}/cronjobs", body)["metadata"]["uid"])

    def define(self, group: str, version: str, kind: str) -> str:
        """Define a custom resource that takes any fields; the path of its collection, which answers."""
        plural = f"{kind.lower()}s"
        anything = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
        served = {"name": version, "served": True, "storage": True, "schema": anything}
        spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [served]}
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        self.post(definitions, {"metadata": {"name": f"{plural}.{group}"}, "spec": spec})
        self.until(lambda: "Established" in json.dumps(self.get(f"{definitions}/{plural}.{group}")), f"{kind}s exist")
        path = f"/apis/{group}/{version}/{plural}"
        address, trusted = self.url + path, str(self.ca_file)
        self.until(lambda: self.session.get(address, timeout=5, verify=trusted).status_code == 200, f"{path} answers")
        return path

    def finish(self, namespace: str, job: str, phase: str = "Succeeded") -> None:
        """Do what a node would do: say how the Job's pods ended. Returns when the Job has ended."""
        pods = f"/api/v1/namespaces/{namespace}/pods"
        self.until(lambda: self.get(pods, labelSelector=f"job-name={job}")["items"], f"pods of {job}")
        for pod in self.get(pods, labelSelector=f"job-name={job}")["items"]:
            self.patch(f"{pods}/{pod['metadata']['name']}/status", {"status": {"phase": phase}})
        path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{job}"
        self.until(lambda: self.get(path)["status"].get("conditions"), f"the end of {job}")

    def until(self, predicate: Callable[[], object], what: str, timeout: float = 30.0) -> None:
        wait_until(predicate, timeout, what, watch=self.processes)


def _named(name: str, labels: dict[str, str] | None) -> dict[str, Any]:
    key = "generateName" if name.endswith("-") else "name"
    return {key: name, "labels": labels or {}}


def start_kubernetes(folder: Path) -> KubernetesServer:
    """Raises `Unavailable` when its programs cannot be had."""
    programs = kubernetes_build.programs()
    etcd, peers, port, manager = (free_port() for _ in range(4))
    _write_secrets(folder, f"https://127.0.0.1:{port}")
    server = KubernetesServer(f"https://127.0.0.1:{port}", folder, programs)
    server.session.headers["Authorization"] = f"Bearer {ADMIN}"

    def run(name: str, *arguments: str) -> None:
        server.processes.append(start(name, [programs / name, *arguments], log=folder / f"{name}.log", cwd=folder))

    try:
        run("etcd", *_etcd(etcd, peers))
        server.until(lambda: get(f"http://127.0.0.1:{etcd}/health"), "etcd answers")
        run("kube-apiserver", *_api_server(etcd, port))
        server.until(lambda: _ready(server), "the API server is ready", timeout=90)
        run("kube-controller-manager", *_controller_manager(manager))
        server.until(lambda: server.get("/api/v1/namespaces/default/serviceaccounts")["items"], "controllers run", 60)
    except BaseException:
        server.stop()
        raise
    return server


def _etcd(port: int, peers: int) -> list[str]:
    address, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
    client = [f"--listen-client-urls={address}", f"--advertise-client-urls={address}"]
    cluster = [
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]
    return ["--data-dir=etcd", "--unsafe-no-fsync", *client, *cluster]


def _api_server(etcd: int, port: int) -> list[str]:
    accounts = ["issuer=https://kubernetes.default.svc", "key-file=accounts.key", "signing-key-file=accounts.key"]
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--tls-cert-file=server.pem",
        "--tls-private-key-file=server.key",
        "--token-auth-file=tokens.csv",
        "--authorization-mode=RBAC",
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.0.0.0/24",
        *(f"--service-account-{setting}" for setting in accounts),
    ]


def _controller_manager(port: int) -> list[str]:
    return [
        "--kubeconfig=kubeconfig",
        f"--controllers={CONTROLLERS}",
        "--service-account-private-key-file=accounts.key",
        "--leader-elect-resource-lock=leases",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--port=0",
        "--cert-dir=certificates",
    ]


def _write_secrets(folder: Path, url: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    issued.private_key_pem.write_to_path(str(folder / "server.key"))
    authority.issue_cert("accounts").private_key_pem.write_to_path(str(folder / "accounts.key"))
    (folder / "admin.token").write_text(ADMIN)
    (folder / "tokens.csv").write_text(f'{ADMIN},admin,1,"system:masters"\n')
    context = {"cluster": "here", "user": "admin"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": url, "certificate-authority": str(folder / "ca.pem")}}],
        "users": [{"name": "admin", "user": {"token": ADMIN}}],
        "contexts": [{"name": "here", "context": context}],
        "current-context": "here",
    }
    (folder / "kubeconfig").write_text(json.dumps(config))


def _ready(server: KubernetesServer) -> bool:
    try:
        answer = server.session.get(f"{server.url}/readyz", timeout=5, verify=str(server.ca_file))
    except requests.RequestException:
        return False
    return answer.status_code == 200
