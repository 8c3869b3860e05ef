"""The cluster's name server: A records of each Service, and of each ready pod of a headless one, as CoreDNS has them.

Nothing is forwarded: every other name does not exist. `python -m tools.cluster.dns KUBECONFIG ADDRESS`.
"""

import ipaddress
import json
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from kubernetes import client, config

from tools.cluster.layout import DOMAIN

TTL_S = 1
HEADER = struct.Struct("!HHHHHH")
ANSWER, NO_SUCH_NAME = 0x8580, 0x8583
A_RECORD, INTERNET = 1, 1


class Names:
    """Fully qualified name -> addresses, from the API: read again `gap_s` after a change at most."""

    def __init__(self, kubeconfig: str, gap_s: float = 0.2) -> None:
        config.load_kube_config(kubeconfig)  # type: ignore[no-untyped-call]
        self._gap_s = gap_s
        self.addresses: dict[str, list[str]] = {}

    def follow(self) -> None:
        """Never returns. An API server that does not answer leaves the names as they were."""
        while True:
            try:
                slices = _list(client.DiscoveryV1Api().list_endpoint_slice_for_all_namespaces)
                self.addresses = self._read(slices["items"])
                _await_change(slices["metadata"]["resourceVersion"])
            except Exception as error:
                print(f"the API server does not answer: {error}", flush=True)
            time.sleep(self._gap_s)

    def _read(self, slices: list[Any]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        headless = set()
        for service in _list(client.CoreV1Api().list_service_for_all_namespaces)["items"]:
            name, address = (
                _qualified(service["metadata"], service["metadata"]["name"]),
                service["spec"].get("clusterIP"),
            )
            found[name] = [] if address == "None" else [address]
            if address == "None":
                headless.add(name)
        for part in slices:
            labels = part["metadata"].get("labels", {})
            name = _qualified(part["metadata"], labels.get("kubernetes.io/service-name", ""))
            if name in headless:
                ready = [endpoint for endpoint in part["endpoints"] or [] if endpoint["conditions"].get("ready", True)]
                found[name] += [address for endpoint in ready for address in endpoint["addresses"]]
        return found


def _list(list_all: Callable[..., Any]) -> dict[str, Any]:
    """As the API's JSON: the client's own types call every field optional."""
    answer: dict[str, Any] = json.loads(list_all(_preload_content=False).data)
    return answer


def _await_change(version: str) -> None:
    """Until the pods of some Service have changed since; a new Service has its EndpointSlice, too."""
    changes: Any = client.DiscoveryV1Api().list_endpoint_slice_for_all_namespaces(
        watch=True, resource_version=version, timeout_seconds=60, _preload_content=False
    )
    try:
        next(changes.stream(), None)
    finally:
        changes.close()


def _qualified(metadata: dict[str, Any], service: str) -> str:
    return f"{service}.{metadata['namespace']}.svc.{DOMAIN}"


def question(query: bytes) -> tuple[str, int, int]:
    """Name, record type and end of the one question in `query`."""
    labels, position = [], HEADER.size
    while length := query[position]:
        labels.append(query[position + 1 : position + 1 + length].decode("ascii"))
        position += 1 + length
    (kind,) = struct.unpack_from("!H", query, position + 1)
    return ".".join(labels).lower(), kind, position + 5


def reply(query: bytes, addresses: dict[str, list[str]]) -> bytes:
    """The answer to `query`: one A record for each address, none for another type, or that the name does not exist."""
    name, kind, end = question(query)
    known = addresses.get(name)
    records = b"".join(
        struct.pack("!HHHIH", 0xC00C, A_RECORD, INTERNET, TTL_S, 4) + ipaddress.IPv4Address(address).packed
        for address in (known or [] if kind == A_RECORD else [])
    )
    (identity,) = struct.unpack_from("!H", query)
    flags = NO_SUCH_NAME if known is None else ANSWER
    return HEADER.pack(identity, flags, 1, len(records) // 16, 0, 0) + query[HEADER.size : end] + records


def main() -> None:
    names = Names(sys.argv[1])
    threading.Thread(target=names.follow, daemon=True).start()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query: bytes
            answer: Any
            query, answer = self.request
            answer.sendto(reply(query, names.addresses), self.client_address)

    socketserver.ThreadingUDPServer((sys.argv[2], 53), Handler).serve_forever()


if __name__ == "__main__":
    main()
