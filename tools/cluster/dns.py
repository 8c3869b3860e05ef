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
    """Fully qualified name -> addresses, from the API, asked for every `interval_s`."""

    def __init__(self, kubeconfig: str, interval_s: float = 0.3) -> None:
        config.load_kube_config(kubeconfig)  # type: ignore[no-untyped-call]
        self._interval_s = interval_s
        self.addresses: dict[str, list[str]] = {}

    def follow(self) -> None:
        """Never returns. An API server that does not answer leaves the names as they were."""
        while True:
            try:
                self.addresses = self._read()
            except Exception as error:
                print(f"the API server does not answer: {error}", flush=True)
            time.sleep(self._interval_s)

    def _read(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        headless = set()
        for service in _items(client.CoreV1Api().list_service_for_all_namespaces):
            name, address = (
                _qualified(service["metadata"], service["metadata"]["name"]),
                service["spec"].get("clusterIP"),
            )
            found[name] = [] if address == "None" else [address]
            if address == "None":
                headless.add(name)
        for part in _items(client.DiscoveryV1Api().list_endpoint_slice_for_all_namespaces):
            labels = part["metadata"].get("labels", {})
            name = _qualified(part["metadata"], labels.get("kubernetes.io/service-name", ""))
            if name in headless:
                ready = [endpoint for endpoint in part["endpoints"] or [] if endpoint["conditions"].get("ready", True)]
                found[name] += [address for endpoint in ready for address in endpoint["addresses"]]
        return found


def _items(list_all: Callable[..., Any]) -> list[Any]:
    """As the API's JSON: the client's own types call every field optional."""
    items: list[Any] = json.loads(list_all(_preload_content=False).data)["items"]
    return items


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
