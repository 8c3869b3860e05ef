"""Owns the promises of a ledger: grants to come, their epochs, and the claim that waits for each.

A claim waits only for a grant that can still come: whatever ends a promise answers the claim.
"""

from collections.abc import Collection

from splitwiser.kv import refusals
from splitwiser.kv.handle import Epoch
from splitwiser.kv.owner import Claim, Owner, Promise


class Promises:
    """All promises of one store's life. A claim is answered last, when everything else is as it should be."""

    def __init__(self, incarnation: int) -> None:
        self._incarnation = incarnation
        self._open: dict[int, Promise] = {}
        self.issued = 0
        """Epochs so far: the counter of the latest one."""

    def make(self, owner: Owner, handle_id: str) -> Epoch:
        """Draw the epoch of a grant to come."""
        self.issued += 1
        self._open[self.issued] = Promise(handle_id, owner)
        return Epoch(self._incarnation, self.issued)

    def find(self, handle_id: str, epoch: Epoch) -> Promise | None:
        """The promise, unless it was kept or broken, or never made."""
        promise = self._open.get(epoch.counter) if epoch.incarnation == self._incarnation else None
        return promise if promise and promise.handle_id == handle_id else None

    def wait(self, promise: Promise, epoch: Epoch, claim: Claim) -> None:
        """Let the claim wait. One that waited already is stale: its claimer is thought to be gone."""
        earlier, promise.claim = promise.claim, claim
        if earlier:
            earlier.answer(refusals.stale(promise.handle_id, epoch))

    def leave(self, owner: Owner, handle_id: str, epoch: Epoch) -> None:
        """End the owner's claim if it waits."""
        promise = self.find(handle_id, epoch)
        if promise and promise.claim and promise.claim.claimer == owner:
            left, promise.claim = promise.claim, None
            left.answer(refusals.left(handle_id))

    def keep(self, epoch: Epoch) -> Claim | None:
        """The promise is a grant now, which the claim waited for."""
        return self._open.pop(epoch.counter).claim

    def break_(self, epoch: Epoch) -> None:
        """No grant will come."""
        promise = self._open.pop(epoch.counter)
        if promise.claim:
            promise.claim.answer(refusals.stale(promise.handle_id, epoch))

    def drop(self, owner: Owner) -> None:
        """The owner is gone: it keeps no promise, and its claims wait no more."""
        for promise in self._open.values():
            if promise.claim and promise.claim.claimer == owner:
                promise.claim = None
        for counter in [counter for counter, promise in self._open.items() if promise.grantor == owner]:
            self.break_(Epoch(self._incarnation, counter))

    def check(self, live: Collection[int]) -> None:
        """Assert that no promise is waited for that was kept."""
        assert not self._open.keys() & set(live), "a promise that is kept and still waited for"
        assert not self._open or max(self._open) <= self.issued
