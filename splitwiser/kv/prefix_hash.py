"""Owns the names of pages by their content: a chain of hashes over a prompt's full pages.

A page's hash covers the token ids of its own page and of all before it. The chain starts from the pool's layout, which
holds the model, and from the store's incarnation, which nobody outside knows before the store starts.
"""

from array import array
from collections.abc import Sequence
from hashlib import blake2b

HASH_BYTES = 16


class PageHasher:
    """Hashes full pages of page_tokens tokens. Both phases make the same one from the same store and layout."""

    def __init__(self, layout_hash: str, incarnation: int, page_tokens: int) -> None:
        self.page_tokens = page_tokens
        self._seed = f"{layout_hash} {incarnation}".encode()

    def root(self, salt: str = "") -> bytes:
        """What stands before a prompt's first page. Prompts under different salts never share a page."""
        return _digest(self._seed + b" " + salt.encode())

    def chain(self, parent: bytes, token_ids: Sequence[int]) -> tuple[bytes, ...]:
        """One hash for each full page of token_ids, which follow the page, or root, that parent names."""
        ids = memoryview(array("I", token_ids)).cast("B")
        page_bytes = self.page_tokens * array("I").itemsize
        hashes: list[bytes] = []
        for end in range(page_bytes, len(ids) + 1, page_bytes):
            parent = _digest(parent + ids[end - page_bytes : end])
            hashes.append(parent)
        return tuple(hashes)


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=HASH_BYTES).digest()
