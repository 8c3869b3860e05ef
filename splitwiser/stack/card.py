"""Owns the service card: the small file by which a service that is ready tells where it is."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Card:
    """address: HOST:PORT or unix:PATH, of gRPC. metrics_port 0: no metrics. http_address: HOST:PORT, or empty."""

    service: str
    instance: str
    pid: int
    address: str
    metrics_port: int = 0
    http_address: str = ""


def write_card(run_dir: Path, card: Card) -> Path:
    """Write run_dir/services/INSTANCE.json so that a reader sees all of it or nothing."""
    folder = run_dir / "services"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.instance}.json"
    draft = path.with_suffix(f".{os.getpid()}.draft")
    draft.write_text(json.dumps(asdict(card)))
    draft.replace(path)
    return path


def read_card(run_dir: Path, instance: str) -> Card | None:
    """The card of one service; None while there is none."""
    try:
        return _parse(run_dir / "services" / f"{instance}.json")
    except FileNotFoundError:
        return None


def read_cards(run_dir: Path) -> dict[str, Card]:
    """All cards by instance, in the order of their names."""
    cards = map(_parse, sorted((run_dir / "services").glob("*.json")))
    return {card.instance: card for card in cards}


def _parse(path: Path) -> Card:
    return Card(**json.loads(path.read_text()))
