"""Owns the calls of the Kubernetes API: Jobs, their pods and their logs, and nothing else.

Objects are plain dictionaries, as in manifests: what a cluster of another version adds does no harm.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from splitwiser.errors import ConfigurationError, SplitwiserError, StartupError

FOLLOW_TIMEOUT_S = 7 * 24 * 3600.0
CALL_TIMEOUT_S = 30.0
IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
RIGHTS = (
    "jobs: create, get, list, watch, delete; pods and pods/log: get, list, watch; "
    "the chart's experiments.serviceAccount has them"
)
TOO_MANY = 429


class Cluster:
    """One namespace of a cluster. Calls raise StartupError when nobody answers, ConfigurationError when refused."""

    def __init__(self, api: Any, namespace: str) -> None:
        from kubernetes.aio import client

        # Untyped: bodies and answers are dictionaries here, not the client's models.
        self._jobs: Any = client.BatchV1Api(api)
        self._core: Any = client.CoreV1Api(api)
        self.namespace = namespace

    async def create(self, job: dict[str, Any]) -> str:
        """Create the Job; returns its name."""
        call = self._jobs.create_namespaced_job_without_preload_content
        answer = await _answer(call(self.namespace, job, _request_timeout=CALL_TIMEOUT_S))
        return str(answer["metadata"]["name"])

    async def job(self, name: str) -> dict[str, Any]:
        """The Job as it is now."""
        call = self._jobs.read_namespaced_job_without_preload_content
        return await _answer(call(name, self.namespace, _request_timeout=CALL_TIMEOUT_S))

    async def pod(self, job: str) -> dict[str, Any] | None:
        """The Job's pod; None before there is one."""
        call = self._core.list_namespaced_pod_without_preload_content
        selector = f"batch.kubernetes.io/job-name={job}"
        answer = await _answer(call(self.namespace, label_selector=selector, _request_timeout=CALL_TIMEOUT_S))
        items: list[dict[str, Any]] = answer.get("items", [])
        return items[0] if items else None

    async def delete(self, job: str) -> None:
        """Delete the Job and its pod."""
        call = self._jobs.delete_namespaced_job_without_preload_content
        await _answer(
            call(job, self.namespace, propagation_policy="Background", _request_timeout=CALL_TIMEOUT_S), absent_ok=True
        )

    async def log(self, pod: str, container: str) -> str:
        """Everything that the container has said."""
        return "".join([line + "\n" async for line in self.lines(pod, container, follow=False)])

    async def lines(self, pod: str, container: str, *, follow: bool = True) -> AsyncIterator[str]:
        """What the container says, line by line, from its beginning; with follow until it ends or the line breaks."""
        call = self._core.read_namespaced_pod_log_without_preload_content
        timeout_s = FOLLOW_TIMEOUT_S if follow else CALL_TIMEOUT_S
        async with _translated():
            response = await call(pod, self.namespace, container=container, follow=follow, _request_timeout=timeout_s)
            await _check(response)
            async for line in _split(response.content.iter_any()):
                yield line


@asynccontextmanager
async def connected(context: str | None, namespace: str | None) -> AsyncIterator[Cluster]:
    """The cluster of the kubeconfig's current context; in a pod without one, the pod's own.

    Raises ConfigurationError when there is neither, or no client is installed.
    """
    try:
        from kubernetes.aio import client
    except ImportError as error:
        raise StartupError(
            "the kubernetes client is not installed", help="pip install 'splitwiser[kubernetes]'"
        ) from error
    configuration = client.Configuration()
    own = await _configure(configuration, context)
    async with client.ApiClient(configuration) as api:
        yield Cluster(api, namespace or own)


async def _configure(configuration: Any, context: str | None) -> str:
    """Fill it in; returns the namespace that goes with it."""
    from kubernetes.aio import config as config_module
    from kubernetes.aio.config.config_exception import ConfigException

    config: Any = config_module
    try:
        if not context and not os.environ.get("KUBECONFIG") and IN_CLUSTER_NAMESPACE.exists():  # noqa: ASYNC240
            config.load_incluster_config(client_configuration=configuration)
            return IN_CLUSTER_NAMESPACE.read_text().strip()  # noqa: ASYNC240
        await config.load_kube_config(context=context, client_configuration=configuration)
        return _namespace_of(config, context)
    except (ConfigException, OSError) as error:
        raise ConfigurationError(
            f"no cluster is configured: {error}", help="set KUBECONFIG, or name a --context of it"
        ) from None


def _namespace_of(config: Any, context: str | None) -> str:
    contexts, current = config.list_kube_config_contexts()
    chosen = next((each for each in contexts if each["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")


async def _answer(call: Any, *, absent_ok: bool = False) -> dict[str, Any]:
    async with _translated():
        response = await call
        if response.status == 404 and absent_ok:
            return {}
        await _check(response)
        answer: dict[str, Any] = json.loads(await response.read())
        return answer


async def _check(response: Any) -> None:
    if response.status < 400:
        return
    text = (await response.read()).decode(errors="replace")
    try:
        message = json.loads(text).get("message") or text
    except ValueError:
        message = text or response.reason
    if response.status in (401, 403):
        raise ConfigurationError(f"the cluster refuses: {message}", help=f"use an account that may do this: {RIGHTS}")
    if response.status == TOO_MANY or response.status >= 500:
        raise _no_answer(message)
    raise ConfigurationError(f"the cluster refuses: {message}", help="correct what it names, and submit again")


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    import aiohttp

    try:
        yield
    except SplitwiserError:
        raise
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _no_answer(str(error) or type(error).__name__) from error


def _no_answer(cause: str) -> StartupError:
    return StartupError(
        f"the cluster does not answer: {cause}", help="see `kubectl cluster-info`; set KUBECONFIG or --context"
    )


async def _split(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Lines without their ends. A result's line may be longer than what aiohttp reads as one."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")
