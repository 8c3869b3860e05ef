"""A service's life: read the settings, listen, write the card, serve health until SIGTERM.

engine.model names a fault, as in `prefill-0:exit`: exit or misconfigured: the instance ends at once; hang: it is never
ready; stay: it ignores SIGTERM; slow-spare: its spare is not prepared before run_dir has a file `prepared`.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from splitwiser.config.schema import Settings
from splitwiser.runtime.spare import stand_by
from splitwiser.stack.card import Card, write_card


def main(service: str) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--instance", default=service)
    parser.add_argument("--listen", default="")
    parser.add_argument("--health-listen", default="")
    parser.add_argument("--prefill", action="append")
    parser.add_argument("--decode", action="append")
    parser.add_argument("--spare", action="store_true")
    arguments = parser.parse_args()
    settings = Settings.model_validate_json(arguments.config.read_text())
    instance, _, fault = settings.engine.model.partition(":")
    fault = fault if instance == arguments.instance else ""

    def prepare() -> None:
        while fault == "slow-spare" and not (settings.run_dir / "prepared").exists():
            time.sleep(0.01)

    if arguments.spare and not stand_by(prepare):
        return
    asyncio.run(run(settings, service, arguments, fault))


async def run(settings: Settings, service: str, arguments: argparse.Namespace, fault: str) -> None:
    print("the fake", arguments.instance, [name for name in os.environ if name.startswith("SPLITWISER_")], flush=True)
    if fault == "exit":
        sys.exit("error: no such weights")
    if fault == "misconfigured":
        print("error: wrong setting", flush=True)
        sys.exit(2)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, (lambda: None) if fault == "stay" else stop.set)
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    await servicer.set("", getattr(health_pb2.HealthCheckResponse, "NOT_SERVING" if fault == "hang" else "SERVING"))
    address = arguments.listen or (
        settings.router.listen if service == "router" else f"unix:{settings.run_dir / settings.store.socket}"
    )
    port = server.add_insecure_port(address)
    if arguments.health_listen:
        server.add_insecure_port(arguments.health_listen)
    await server.start()
    address = address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
    write_card(settings.run_dir, Card(service, arguments.instance, os.getpid(), address))
    await stop.wait()
    await server.stop(0)
