"""Owns the way to a running stack's router: where it is when nobody says so, and what to say when it is not there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from splitwiser.cli.options import read_settings
from splitwiser.config.schema import TlsSettings
from splitwiser.errors import WorkerLost
from splitwiser.rpc.certificate import check_certificate
from splitwiser.stack.card import read_card
from splitwiser.stack.health import is_serving


def router_address(address: str | None, config: Path | None, run_dir: Path | None) -> str:
    """The given address; else that of the stack in the run folder; else the one that a stack would listen on."""
    if address:
        return address
    settings = read_settings(config, None, run_dir=run_dir)
    card = read_card(settings.run_dir, "router")
    return card.address if card else settings.router.listen


def router_tls(config: Path | None) -> TlsSettings:
    """How to speak with the router. Raises ConfigurationError for files that cannot be used."""
    tls = read_settings(config, None).tls
    check_certificate(tls)
    return tls


@asynccontextmanager
async def expecting_router(address: str, tls: TlsSettings) -> AsyncIterator[None]:
    """Inside, a router that is not there is told as that."""
    try:
        yield
    except WorkerLost as error:
        if await is_serving(address, tls):
            raise
        why = f": {error.cause}" if tls.enabled else ""
        raise WorkerLost(
            f"no router answers at {address}{why}",
            help="start a stack with `splitwiser up`, or name its router with --address",
        ) from error
