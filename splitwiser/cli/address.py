"""Owns the answer to where the router is when nobody says so."""

from pathlib import Path

from splitwiser.cli.options import read_settings
from splitwiser.stack.card import read_card


def router_address(address: str | None, config: Path | None, run_dir: Path | None) -> str:
    """The given address; else that of the stack in the run folder; else the one that a stack would listen on."""
    if address:
        return address
    settings = read_settings(config, None, run_dir=run_dir)
    card = read_card(settings.run_dir, "router")
    return card.address if card else settings.router.listen
