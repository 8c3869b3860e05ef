"""NVIDIA's device plugin with `sharing.mps`, as the kubelet and a pod see it, for a node without a GPU.

One GPU as N replicas; each container that asks for one gets the variables and mounts of the real plugin, and a request
for more than one is refused in its words. `python -m tools.cluster.mps_plugin RESOURCE REPLICAS`.
"""

import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

from tools.cluster.layout import KUBELET

messages: Any
services: Any
messages, services = grpc.protos_and_services("tools/cluster/deviceplugin.proto")

PLUGINS = KUBELET / "device-plugins"
SOCKET = "nvidia-gpu.sock"
GPU = "GPU-00000000-0000-0000-0000-000000000000"
MPS_ROOT = Path("/run/nvidia/mps")


class MpsPlugin(services.DevicePluginServicer):  # type: ignore[misc]
    """One GPU under MPS. `resource` is its name for pods, `replicas` how many containers may share it."""

    def __init__(self, resource: str, replicas: int) -> None:
        self._resource = resource
        self._replicas = replicas
        self._pipe = MPS_ROOT / resource / "pipe"
        self._shm = MPS_ROOT / "shm"
        for folder in (self._pipe, self._shm):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o1777)

    def GetDevicePluginOptions(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.DevicePluginOptions(get_preferred_allocation_available=True)

    def ListAndWatch(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        """All replicas, healthy, once; then nothing changes for as long as the kubelet listens."""
        identifiers = [f"{GPU}::{index}" for index in range(self._replicas)]
        yield messages.ListAndWatchResponse(
            devices=[messages.Device(ID=name, health="Healthy") for name in identifiers]
        )
        while context.is_active():
            time.sleep(0.5)

    def GetPreferredAllocation(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.PreferredAllocationResponse(
            container_responses=[
                messages.ContainerPreferredAllocationResponse(
                    deviceIDs=list(container.available_deviceIDs)[: container.allocation_size]
                )
                for container in request.container_requests
            ]
        )

    def Allocate(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Refuses what `failRequestsGreaterThanOne` refuses, which is always on under MPS."""
        for container in request.container_requests:
            if (asked := len(container.devices_ids)) > 1:
                text = (
                    f"request for '{self._resource}: {asked}' too large: maximum request size for shared resources is 1"
                )
                context.abort(grpc.StatusCode.UNKNOWN, text)
        return messages.AllocateResponse(container_responses=[self._allocated() for _ in request.container_requests])

    def PreStartContainer(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.PreStartContainerResponse()

    def _allocated(self) -> Any:
        pipe = f"/mps/{self._resource}/pipe"
        return messages.ContainerAllocateResponse(
            envs={"NVIDIA_VISIBLE_DEVICES": GPU, "CUDA_MPS_PIPE_DIRECTORY": pipe},
            mounts=[
                messages.Mount(container_path=pipe, host_path=str(self._pipe)),
                messages.Mount(container_path="/dev/shm", host_path=str(self._shm)),
            ],
        )


def main() -> None:
    resource, replicas = sys.argv[1], int(sys.argv[2])
    server = grpc.server(futures.ThreadPoolExecutor(8))
    services.add_DevicePluginServicer_to_server(MpsPlugin(resource, replicas), server)
    server.add_insecure_port(f"unix://{PLUGINS / SOCKET}")
    server.start()
    registration = services.RegistrationStub(grpc.insecure_channel(f"unix://{PLUGINS / 'kubelet.sock'}"))
    options = messages.DevicePluginOptions(get_preferred_allocation_available=True)
    about = {"version": "v1beta1", "endpoint": SOCKET, "resource_name": resource}
    registration.Register(messages.RegisterRequest(**about, options=options), wait_for_ready=True, timeout=30)
    print(f"{replicas} replicas of {resource} registered", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
