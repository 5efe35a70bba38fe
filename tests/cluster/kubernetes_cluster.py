"""A stand-in for a Kubernetes cluster: an API server that takes any Job, and pods that are processes.

What is real: the requests of the executor plugin, and the commands of the containers, which run here, each in an empty
folder. What is not: images, isolation, scheduling, GPUs, limits, and what a server refuses.
"""

import base64
import json
import re
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit


@dataclass
class Pod:
    """The one pod of a Job."""

    process: subprocess.Popen
    log: Path

    def status(self) -> dict[str, Any]:
        code = self.process.poll()
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code, "startedAt": None}}
        container = {"name": "snakemake", "state": state, "image": "i", "imageID": "", "ready": False}
        phase = {None: "Running", 0: "Succeeded"}.get(code, "Failed")
        return {"phase": phase, "containerStatuses": [container | {"restartCount": 0}]}


@dataclass
class Cluster:
    """Jobs by name, and the requests that no path was found for.

    Attributes:
        folder: where pods have their folders and logs.
        environment: of every container, beside its secrets.
    """

    folder: Path
    environment: dict[str, str]
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for pod in self.pods.values():
            if pod.process.poll() is None:
                pod.process.kill()
            pod.process.wait()

    def write_kubeconfig(self, file: Path) -> None:
        server = f"http://127.0.0.1:{self._server.server_port}"
        clusters = [{"name": "c", "cluster": {"server": server}}]
        contexts = [{"name": "c", "context": {"cluster": "c", "user": "u"}}]
        users = [{"name": "u", "user": {}}]
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "c"}
        file.write_text(json.dumps(config | {"clusters": clusters, "contexts": contexts, "users": users}))

    def run(self, job: dict[str, Any]) -> None:
        name = job["metadata"]["name"]
        container = job["spec"]["template"]["spec"]["containers"][0]
        folder = self.folder / name
        folder.mkdir()
        log = self.folder / f"{name}.log"
        secret_refs = [(entry["name"], entry["valueFrom"]["secretKeyRef"]) for entry in container.get("env") or []]
        secrets = {variable: self.secrets[ref["name"]][ref["key"]] for variable, ref in secret_refs}
        with log.open("w") as file:
            process = subprocess.Popen(
                [*container["command"], *container["args"]],
                cwd=folder,
                env=self.environment | secrets,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.pods[name] = Pod(process, log)


class _Handler(BaseHTTPRequestHandler):
    cluster: ClassVar[Cluster]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = body["metadata"]["name"]
        if self._match(r"/apis/batch/v1/namespaces/\w+/jobs"):
            self.cluster.jobs[name] = body
            self.cluster.run(body)
        elif self._match(r"/api/v1/namespaces/\w+/secrets"):
            data = body.get("data") or {}
            self.cluster.secrets[name] = {key: base64.b64decode(value).decode() for key, value in data.items()}
        else:
            self._not_found()
            return
        self._answer(201, body)

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if name := self._match(r"/apis/batch/v1/namespaces/\w+/jobs/([^/]+)/status"):
            key = {None: "active", 0: "succeeded"}.get(self.cluster.pods[name].process.poll(), "failed")
            self._answer(200, self.cluster.jobs[name] | {"status": {key: 1}})
        elif self._match(r"/api/v1/namespaces/\w+/pods"):
            name = query["labelSelector"][0].removeprefix("job-name=")
            pods = [{"metadata": {"name": f"{name}-pod"}, "status": self.cluster.pods[name].status()}]
            self._answer(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})
        elif name := self._match(r"/api/v1/namespaces/\w+/pods/([^/]+)-pod/log"):
            if query.get("previous", ["false"])[0].lower() == "true":
                # A container that was never restarted has no previous one.
                message = f'previous terminated container "snakemake" in pod "{name}-pod" not found'
                self._fail(400, "BadRequest", message)
            else:
                self._answer(200, self.cluster.pods[name].log.read_text("utf-8"))
        else:
            self._not_found()

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if name := self._match(r"/apis/batch/v1/namespaces/\w+/jobs/([^/]+)"):
            self.cluster.pods[name].process.terminate()
        elif not self._match(r"/api/v1/namespaces/\w+/(?:pods|secrets)/[^/]+"):
            self._not_found()
            return
        self._answer(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

    def log_message(self, *_: Any) -> None:
        pass

    def _match(self, pattern: str) -> str | None:
        """The path, or what a group of the pattern found in it; None where it does not match."""
        match = re.fullmatch(pattern, urlsplit(self.path).path)
        return match and match[match.lastindex or 0]

    def _answer(self, code: int, content: Any) -> None:
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _not_found(self) -> None:
        self.cluster.unknown.append(f"{self.command} {self.path}")
        self._fail(404, "NotFound", f"the server could not find the requested resource: {self.path}")

    def _fail(self, code: int, reason: str, message: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code}
        self._answer(code, status | {"reason": reason, "message": message})
