"""Owns the moments of one claim, on the wall clock: when it came, when it could be made, and when it was."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClaimMarks:
    """All in ns. arrived: the call; reserved: our own pages; granted: by the store; claimed: the pages are ours."""

    arrived_ns: int
    reserved_ns: int
    granted_ns: int
    claimed_ns: int

    @property
    def claiming_ns(self) -> int:
        """From when on nothing but the claim itself was waited for."""
        return max(self.reserved_ns, self.granted_ns)

    @property
    def queue_ms(self) -> float:
        """Waiting for pages of our own, mostly while the prompt is still being prefilled."""
        return (self.reserved_ns - self.arrived_ns) / 1e6

    @property
    def grant_wait_ms(self) -> float:
        """How long the grant waited for decode to have pages: nothing when the claim was there first."""
        return (self.claiming_ns - self.granted_ns) / 1e6

    @property
    def claim_ms(self) -> float:
        """Taking the granted pages over."""
        return (self.claimed_ns - self.claiming_ns) / 1e6


def claim_marks(arrived_ns: int, reserved_ns: int, granted_monotonic_ns: int) -> ClaimMarks:
    """To be called when the pages are ours. The grant's moment comes by the clock that both processes share."""
    claimed_ns, claimed_monotonic_ns = time.time_ns(), time.monotonic_ns()
    return ClaimMarks(arrived_ns, reserved_ns, claimed_ns - (claimed_monotonic_ns - granted_monotonic_ns), claimed_ns)
