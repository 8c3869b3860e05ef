"""Owns what the ledger says when it refuses: one function a case, each with its cause and its help."""

from collections.abc import Collection

from splitwiser.errors import (
    DuplicateRequest,
    ForeignPages,
    InvalidRequest,
    LayoutMismatch,
    StaleHandle,
    UnknownHandle,
)
from splitwiser.kv.handle import Epoch
from splitwiser.kv.owner import Role

SHOWN_PAGES = 8
"""A refusal names at most so many pages."""


def wrong_role(role: Role, allowed: Collection[Role]) -> InvalidRequest:
    return InvalidRequest(f"not a call for the role {role}", help=f"attach as {' or '.join(allowed)}")


def wrong_layout(named: str, pool: str) -> LayoutMismatch:
    return LayoutMismatch(
        f"layout {named!r} is not the pool's, {pool}",
        help="run all workers of a store with the same model, dtype and page size",
    )


def foreign_pages(foreign: Collection[int]) -> ForeignPages:
    some = ", ".join(str(page) for page in sorted(foreign)[:SHOWN_PAGES])
    cause = f"names pages that are not its own, such as {some}" if foreign else "names a page twice"
    return ForeignPages(cause, help="name each page once, and only pages you own")


def foreign_grant(handle_id: str) -> ForeignPages:
    return ForeignPages(f"handle {handle_id} was granted by another worker", help="withdraw only your own grants")


def empty_grant() -> InvalidRequest:
    return InvalidRequest("a grant without handle id, pages or tokens", help="grant the pages that a prompt has filled")


def live_handle(handle_id: str) -> DuplicateRequest:
    return DuplicateRequest(f"handle {handle_id} is granted already", help="withdraw it first, or use another id")


def unequal_exchange(given: int, taken: int) -> InvalidRequest:
    return InvalidRequest(f"gives {given} pages for {taken}", help="give as many pages as the handle has")


def looked_up(handle_id: str) -> DuplicateRequest:
    return DuplicateRequest(f"handle {handle_id} is looked up already", help="grant or forget it first")


def loading(handle_id: str) -> InvalidRequest:
    return InvalidRequest(f"handle {handle_id} has loads under way", help="say that they are copied, or forget it")


def not_loading(handle_id: str) -> UnknownHandle:
    return UnknownHandle(f"handle {handle_id} has no loads under way", help="copy what its look-up names, once")


def saving() -> InvalidRequest:
    return InvalidRequest("a save is under way", help="say that it is copied before the next one")


def not_saving() -> InvalidRequest:
    return InvalidRequest("no save is under way", help="ask for pages to save first")


def unread(handle_id: str, epoch: Epoch) -> UnknownHandle:
    return UnknownHandle(
        f"handle {handle_id} of epoch {epoch} has no look-up, or another claimed it", help="share what you claimed"
    )


def uneven_hashes(hashes: int, pages: int) -> InvalidRequest:
    return InvalidRequest(f"{hashes} hashes for {pages} pages", help="give one hash for each page")


def stale(handle_id: str, epoch: Epoch) -> StaleHandle:
    return StaleHandle(f"handle {handle_id} of epoch {epoch} is not live any more", help="prefill the prompt again")


def unknown(handle_id: str, epoch: Epoch) -> UnknownHandle:
    return UnknownHandle(f"handle {handle_id} of epoch {epoch} was never granted", help="claim what was promised")


def left(handle_id: str) -> StaleHandle:
    return StaleHandle(f"the claim of handle {handle_id} waits no more", help="prefill the prompt again")
