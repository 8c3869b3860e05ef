"""Who waits for decode, and for how many calls of theirs there is an answer."""

from splitwiser.kv.owner import Owner, Role
from splitwiser.store.pace_desk import PaceDesk
from splitwiser.v1.store_pb2 import AwaitPace, StoreReply, StoreRequest, TellPace


def test_a_worker_that_gave_waiting_up_and_waits_again_is_answered_once() -> None:
    answered: list[tuple[Owner, int]] = []

    def answer(owner: Owner, call_id: int, reply: StoreReply) -> None:
        answered.append((owner, call_id))

    desk = PaceDesk(answer)
    decode, prefill, other = Owner(1, Role.DECODE), Owner(2, Role.PREFILL), Owner(3, Role.PREFILL)
    desk.tell(decode, StoreRequest(tell_pace=TellPace(behind=True)), ())
    for call_id in range(1, 100):
        desk.wait(prefill, StoreRequest(call_id=call_id, await_pace=AwaitPace()), ())
    desk.wait(other, StoreRequest(call_id=7, await_pace=AwaitPace()), ())
    desk.leave(other)
    assert not answered
    desk.leave(decode)
    assert answered == [(prefill, 99)]
