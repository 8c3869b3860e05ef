"""Owns which decode workers are behind, and which prefill workers wait until none is."""

from collections.abc import Sequence

from splitwiser.errors import InvalidRequest
from splitwiser.kv.owner import Owner, Role
from splitwiser.store.sharing_desk import Answer
from splitwiser.v1 import store_pb2
from splitwiser.v1.store_pb2 import StoreReply, StoreRequest

_DONE = StoreReply(done=store_pb2.Done())


class PaceDesk:
    """Serves the verbs on decode's pace."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._behind: set[Owner] = set()
        self._waiting: dict[Owner, int] = {}

    def tell(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> StoreReply:
        if owner.role is not Role.DECODE:
            raise InvalidRequest(f"a {owner.role} worker tells a pace", help="only decode's steps are asked for")
        (self._behind.add if request.tell_pace.behind else self._behind.discard)(owner)
        self._go_on()
        return _DONE

    def wait(self, owner: Owner, request: StoreRequest, fds: Sequence[int]) -> None:
        # Who calls again has given its earlier call up: beside a decode that never catches up they would pile up.
        self._waiting[owner] = request.call_id
        self._go_on()

    def leave(self, owner: Owner) -> None:
        """Who is gone is not behind."""
        self._behind.discard(owner)
        self._waiting.pop(owner, None)
        self._go_on()

    def _go_on(self) -> None:
        if not self._behind:
            waiting, self._waiting = self._waiting, {}
            for owner, call_id in waiting.items():
                self._answer(owner, call_id, _DONE)
