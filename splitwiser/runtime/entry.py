"""Owns the entry of a service process: its arguments, its signals, and its exit codes."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from splitwiser.config.load import load_settings
from splitwiser.config.schema import Settings
from splitwiser.errors import ConfigurationError, SplitwiserError
from splitwiser.rpc.listen import ListenOptions
from splitwiser.runtime.spare import stand_by
from splitwiser.stack.card import Card, write_card
from splitwiser.telemetry.logs import configure_logging

WORKER_HELP = "address of a {} worker, or dns:HOST:PORT for those at all addresses of a name; may be repeated"
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process was started.

    listen: gRPC address of its own; health_listen: one where health alone is served; prefill and decode: those of a
    router's workers, or where a single process listens for either phase; spare: it waits until it is needed.
    """

    settings: Settings
    service: str
    instance: str
    listen: str
    health_listen: str
    prefill: tuple[str, ...]
    decode: tuple[str, ...]
    spare: bool = False

    def announce(self, address: str, metrics_port: int, http_address: str = "") -> None:
        """Write the service's card: it is ready."""
        card = Card(self.service, self.instance, os.getpid(), address, metrics_port, http_address)
        write_card(self.settings.run_dir, card)

    @property
    def listen_options(self) -> ListenOptions:
        """How this process listens, as its settings have it."""
        return ListenOptions(
            tls=self.settings.tls,
            allow_plaintext=self.settings.router.allow_plaintext,
            health_address=self.health_listen,
            grace_s=self.settings.drain.grace_s,
        )


Serve = Callable[[Launch, asyncio.Event], Awaitable[None]]


def main(service: str, serve: Serve, prepare: Callable[[Settings], None] = lambda settings: None) -> int:
    """Run serve until it returns or a signal sets its stop event. Returns the exit code; errors go to stderr.

    prepare: what a spare can do ahead.
    """
    try:
        launch = _launch(service)
        if launch.spare:
            if not stand_by(partial(prepare, launch.settings)):
                return 0
            # What is configured now counts, as for any other process that starts now.
            launch = _launch(service)
        configure_logging(launch.settings.telemetry, service, launch.instance)
        asyncio.run(_until_signal(launch, serve))
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    except SplitwiserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0


async def _until_signal(launch: Launch, serve: Serve) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(launch, stop)


def _launch(service: str) -> Launch:
    parser = argparse.ArgumentParser(prog=f"python -m services.{service}")
    parser.add_argument("--config", type=Path, required=True, help="settings as TOML or JSON; variables win over them")
    parser.add_argument("--instance", default=service, help="name of this process among its siblings")
    parser.add_argument("--listen", default="", help="gRPC address: HOST:PORT or unix:PATH")
    parser.add_argument("--health-listen", default="", help="plaintext address for health probes alone")
    parser.add_argument("--prefill", action="append", default=[], help=WORKER_HELP.format("prefill"))
    parser.add_argument("--decode", action="append", default=[], help=WORKER_HELP.format("decode"))
    parser.add_argument("--spare", action="store_true", help="import and wait; start at a line on standard input")
    arguments = parser.parse_args()
    settings = load_settings(arguments.config)
    return Launch(
        settings=settings,
        service=service,
        instance=arguments.instance,
        listen=arguments.listen,
        health_listen=arguments.health_listen,
        prefill=tuple(arguments.prefill),
        decode=tuple(arguments.decode),
        spare=arguments.spare,
    )
