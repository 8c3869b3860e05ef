"""Owns the few endpoints of a Kubernetes API server that submitting needs, for tests without a cluster.

A Job's pod is a process on this machine that runs the very arguments of its container, and its log is what that process
says. A real cluster is met in tests/cluster.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

TOKEN = "right"


class Pod:
    """One process as a pod. stuck: the status of a pod that never runs."""

    def __init__(self, job: dict[str, Any], folder: Path, stuck: dict[str, Any] | None) -> None:
        self.job = job
        self.name = f"{job['metadata']['name']}-abcde"
        self._stuck = stuck
        self._log = folder / f"{self.name}.log"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        (container,) = self.job["spec"]["template"]["spec"]["containers"]
        folder = str(self._log.parent)
        arguments = [argument.replace("/results", folder) for argument in container["args"]]
        variables = {each["name"]: each["value"] for each in container["env"]}
        if not self._stuck:
            with self._log.open("wb") as output:
                self.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", *arguments), stdout=output, stderr=output, env={**os.environ, **variables}
                )

    def status(self) -> dict[str, Any]:
        if self._stuck or self.process is None:
            return self._stuck or {"phase": "Pending"}
        code = self.process.returncode
        if code is None:
            return {"phase": "Running", "containerStatuses": [{"name": "experiment", "state": {"running": {}}}]}
        ended = {"exitCode": code, "reason": "Error" if code else "Completed"}
        # FallbackToLogsOnError: the end of the log.
        message = {"message": self._log.read_text()[-2048:]} if code else {}
        containers = [{"name": "experiment", "state": {"terminated": {**ended, **message}}}]
        return {"phase": "Failed" if code else "Succeeded", "containerStatuses": containers}

    async def log(self, follow: bool) -> AsyncIterator[bytes]:
        with self._log.open("rb") as file:
            while True:
                running = self.process is not None and self.process.returncode is None
                if chunk := file.read(65536):
                    yield chunk
                elif follow and running:
                    await asyncio.sleep(0.02)
                else:
                    return

    async def end(self) -> None:
        if self.process and self.process.returncode is None:
            self.process.kill()
        if self.process:
            await self.process.wait()


class ApiServer:
    """Jobs of one namespace. stuck: the status that all pods have, instead of running.

    hiccups: HTTP statuses that the next requests get. 200 is the answer itself, 0 closes the connection.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.stuck: dict[str, Any] | None = None
        self.hiccups: list[int] = []
        self.pods: dict[str, Pod] = {}
        self.deleted: list[str] = []

    def app(self) -> web.Application:
        app = web.Application(middlewares=[_authenticate, self._hiccup])
        jobs, pods = "/apis/batch/v1/namespaces/lab/jobs", "/api/v1/namespaces/lab/pods"
        app.router.add_post(jobs, self._create)
        app.router.add_get(jobs + "/{name}", self._read)
        app.router.add_delete(jobs + "/{name}", self._delete)
        app.router.add_get(pods, self._list)
        app.router.add_get(pods + "/{name}/log", self._log)
        return app

    @web.middleware
    async def _hiccup(self, request: web.Request, handler: Any) -> web.StreamResponse:
        status = self.hiccups.pop(0) if self.hiccups else 200
        if status == 200:
            answer: web.StreamResponse = await handler(request)
            return answer
        if not status and request.transport:
            request.transport.abort()
        return web.json_response({"kind": "Status", "message": "etcdserver: leader changed"}, status=status or 500)

    async def _create(self, request: web.Request) -> web.Response:
        job = await request.json()
        self.pods[job["metadata"]["name"]] = pod = Pod(job, self._folder, self.stuck)
        await pod.start()
        return web.json_response(job, status=201)

    async def _read(self, request: web.Request) -> web.Response:
        return web.json_response(self.pods[request.match_info["name"]].job)

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.deleted.append(name)
        await self.pods[name].end()
        return web.json_response({})

    async def _list(self, request: web.Request) -> web.Response:
        name = request.query["labelSelector"].removeprefix("batch.kubernetes.io/job-name=")
        pod = self.pods[name]
        return web.json_response({"items": [{"metadata": {"name": pod.name}, "status": pod.status()}]})

    async def _log(self, request: web.Request) -> web.StreamResponse:
        (pod,) = (pod for pod in self.pods.values() if pod.name == request.match_info["name"])
        response = web.StreamResponse()
        await response.prepare(request)
        async for chunk in pod.log(request.query.get("follow") in ("true", "True")):
            await response.write(chunk)
        return response


@web.middleware
async def _authenticate(request: web.Request, handler: Any) -> web.StreamResponse:
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        status = {"kind": "Status", "message": 'jobs.batch is forbidden: User "nobody" cannot create resource "jobs"'}
        return web.json_response(status, status=403)
    response: web.StreamResponse = await handler(request)
    return response


def write_kubeconfig(path: Path, address: str, token: str = TOKEN) -> None:
    """A kubeconfig whose context is in the namespace lab."""
    cluster = {"name": "c", "cluster": {"server": f"http://{address}"}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "lab"}}
    user = {"name": "u", "user": {"token": token}}
    named = {"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "x"}
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **named}))


@asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[tuple[ApiServer, str]]:
    """A server for the length of the block, and its address."""
    server = ApiServer(folder)
    runner = web.AppRunner(server.app(), shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield server, f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        for pod in server.pods.values():
            await pod.end()
        await runner.cleanup()
