"""Owns short forms of the ledger's calls for tests: a grant that was promised, a claim that is answered at once."""

from collections.abc import Sequence

from splitwiser.errors import SplitwiserError
from splitwiser.kv.handle import Epoch, KvHandle
from splitwiser.kv.ledger import Ledger
from splitwiser.kv.owner import Claim, Grant, Owner

LAYOUT = "layout"


def grant(ledger: Ledger, owner: Owner, handle_id: str, pages: Sequence[int], tokens: int = 1) -> KvHandle:
    """Promise and keep."""
    return ledger.grant(owner, handle_id, ledger.promise(owner, handle_id), pages, tokens, LAYOUT)


def claim(
    ledger: Ledger, owner: Owner, handle_id: str, epoch: Epoch, give: Sequence[int], layout_hash: str = LAYOUT
) -> Grant:
    """Claim what was granted already. Raises the refusal."""
    answers = waiting_claim(ledger, owner, handle_id, epoch, give, layout_hash)
    assert answers, "the claim waits"
    return answered(answers)


def waiting_claim(
    ledger: Ledger, owner: Owner, handle_id: str, epoch: Epoch, give: Sequence[int], layout_hash: str = LAYOUT
) -> list[Grant | SplitwiserError]:
    """Claim; the list takes the answer when it comes."""
    answers: list[Grant | SplitwiserError] = []
    ledger.claim(handle_id, epoch, layout_hash, Claim(owner, tuple(give), answers.append))
    return answers


def answered(answers: list[Grant | SplitwiserError]) -> Grant:
    """The only answer. Raises the refusal."""
    (answer,) = answers
    if isinstance(answer, SplitwiserError):
        raise answer
    return answer
