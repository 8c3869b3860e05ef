"""Who gets the next place: the policy's order, the least loaded worker, and nothing lost when a waiter leaves."""

import asyncio

import pytest

from splitwiser.config.schema import RouterSettings
from splitwiser.engine.base import Sampling, StopRule
from splitwiser.errors import Overloaded
from splitwiser.routing.places import Places, Seats
from splitwiser.routing.policy import Policy, first_come, on_time, policy_of
from splitwiser.routing.request import RoutedRequest

GREEDY = Sampling(temperature=0, top_p=1, top_k=0, seed=0)


def request(name: str, prompt_tokens: int = 1, priority: int = 0) -> RoutedRequest:
    stop = StopRule(max_tokens=1, stop_token_ids=frozenset())
    return RoutedRequest(name, (1,) * prompt_tokens, GREEDY, stop, (), priority)


def seats(capacity: int, available: bool = True) -> Seats:
    worker = Seats(capacity)
    worker.available = available
    return worker


def places_of(*workers: Seats, policy: Policy = first_come, max_waiting: int = 10) -> Places[Seats]:
    places: Places[Seats] = Places(policy, max_waiting)
    for worker in workers:
        places.add(worker)
    return places


async def served_order(policy: Policy, requests: list[RoutedRequest]) -> list[str]:
    """The order in which requests that all wait for one place get it."""
    places, order = places_of(seats(1), policy=policy), list[str]()

    async def visit(routed: RoutedRequest) -> None:
        async with places.place(routed):
            order.append(routed.request_id)

    async with places.place(request("occupant")):
        visits = [asyncio.create_task(visit(routed)) for routed in requests]
        await asyncio.sleep(0)
    await asyncio.gather(*visits)
    return order


@pytest.mark.parametrize(
    ("policy", "order"),
    [
        ("fcfs", ["long", "urgent", "short"]),
        ("shortest", ["short", "urgent", "long"]),
        ("priority", ["urgent", "long", "short"]),
        ("on-time", ["long", "urgent", "short"]),
    ],
)
async def test_each_policy_orders_the_line(policy: str, order: list[str]) -> None:
    waiting = [request("long", 9), request("urgent", 5, priority=-1), request("short", 1)]
    assert await served_order(policy_of(RouterSettings.model_validate({"policy": policy})), waiting) == order


async def test_whoever_is_late_already_waits_for_those_who_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    places, order, clock_s = places_of(seats(1), policy=on_time(1.0)), list[str](), 100.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock_s)

    async def visit(name: str) -> None:
        async with places.place(request(name)):
            order.append(name)

    async with places.place(request("occupant")):
        late = [asyncio.create_task(visit(name)) for name in ("late", "late too")]
        await asyncio.sleep(0)
        clock_s += 1.1
        others = [asyncio.create_task(visit(name)) for name in ("in time", "in time too")]
        await asyncio.sleep(0)
        clock_s += 0.5
    await asyncio.gather(*late, *others)
    assert order == ["in time", "in time too", "late", "late too"]


async def test_the_wait_for_decode_makes_nobody_late(monkeypatch: pytest.MonkeyPatch) -> None:
    places, order, clock_s = places_of(seats(1), policy=on_time(1.0)), list[str](), 100.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock_s)
    for _ in range(30):
        async with places.place(request("claimed late")):
            places.first_token(0.05)
            clock_s += 3.0

    async def visit(name: str) -> None:
        async with places.place(request(name)):
            order.append(name)

    async with places.place(request("occupant")):
        late = asyncio.create_task(visit("late"))
        await asyncio.sleep(0)
        clock_s += 1.1
        other = asyncio.create_task(visit("in time"))
        await asyncio.sleep(0)
    await asyncio.gather(late, other)
    assert order == ["in time", "late"]


async def test_who_lost_a_worker_is_never_turned_away_and_goes_first() -> None:
    places, order = places_of(seats(1), max_waiting=1), list[str]()

    async def visit(name: str, admitted: bool) -> None:
        async with places.place(request(name), admitted=admitted):
            order.append(name)

    async with places.place(request("occupant")):
        waiting = [asyncio.create_task(visit("new", False)), asyncio.create_task(visit("again", True))]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await visit("one too many", False)
    await asyncio.gather(*waiting)
    assert order == ["again", "new"]


async def test_the_least_loaded_worker_is_taken() -> None:
    small, large = seats(2), seats(4)
    places = places_of(small, large)
    async with places.place(request("a")), places.place(request("b")), places.place(request("c")):
        assert (small.in_flight, large.in_flight) == (1, 2)
    assert places.in_flight_count == 0


async def test_a_full_line_refuses_at_once_and_says_when_to_come_back() -> None:
    places = places_of(seats(1), max_waiting=1)
    async with places.place(request("seated")):
        waiting = asyncio.create_task(places.place(request("waiting")).__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await places.place(request("refused")).__aenter__()
        assert caught.value.retry_after_s
        waiting.cancel()


async def test_a_waiter_that_leaves_takes_no_place() -> None:
    places = places_of(seats(1))
    async with places.place(request("seated")):
        leaving = [asyncio.create_task(places.place(request(str(index))).__aenter__()) for index in range(3)]
        await asyncio.sleep(0)
        assert places.waiting_count == 3
        for task in leaving:
            task.cancel()
        await asyncio.wait(leaving)
        assert places.waiting_count == 0
    assert places.in_flight_count == 0


async def test_a_waiter_cancelled_as_it_is_seated_gives_the_place_back() -> None:
    places = places_of(seats(1))
    async with places.place(request("seated")):
        chosen = asyncio.create_task(places.place(request("chosen")).__aenter__())
        await asyncio.sleep(0)
    chosen.cancel()
    await asyncio.wait({chosen})
    assert places.in_flight_count == 0


async def test_requests_wait_for_a_worker_that_is_not_there_yet() -> None:
    worker = seats(1, available=False)
    places = places_of(worker)
    entering = asyncio.create_task(places.place(request("early")).__aenter__())
    await asyncio.sleep(0)
    assert not entering.done()
    worker.available = True
    places.serve_line()
    assert await entering is worker


async def test_a_dismissed_worker_keeps_its_requests_and_gets_no_more() -> None:
    leaving, staying = seats(4), seats(1)
    places = places_of(leaving)
    gone = asyncio.create_task(leaving.gone())
    async with places.place(request("seated")) as first:
        assert first is leaving
        places.add(staying)
        leaving.dismiss()
        async with places.place(request("later")) as second:
            assert second is staying
            waiting = asyncio.create_task(places.place(request("waits")).__aenter__())
            await asyncio.sleep(0)
            assert not waiting.done(), "the dismissed worker has room, and is not given it"
        assert await waiting is staying
        assert not gone.done()
    await asyncio.wait_for(gone, 60)


async def test_a_worker_without_requests_is_gone_as_soon_as_it_is_dismissed() -> None:
    worker = seats(1)
    places = places_of(worker)
    worker.dismiss()
    await asyncio.wait_for(worker.gone(), 60)
    assert not places.any_available


async def test_a_line_without_a_bound_refuses_nobody() -> None:
    places: Places[Seats] = Places(first_come, None)
    waiting = [asyncio.create_task(places.place(request(str(index))).__aenter__()) for index in range(100)]
    await asyncio.sleep(0)
    assert places.waiting_count == 100
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
