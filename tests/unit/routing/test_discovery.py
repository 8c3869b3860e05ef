"""Names stand for workers: who is found is hired, who is found no more finishes its requests, and silence changes
nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from splitwiser.engine.base import Sampling, StopRule
from splitwiser.errors import ConfigurationError
from splitwiser.routing.crew import Crew
from splitwiser.routing.discovery import Discovery, Endpoint, Name, parse_target, resolve
from splitwiser.routing.places import Places
from splitwiser.routing.policy import first_come
from splitwiser.routing.request import RoutedRequest
from splitwiser.routing.workers import PrefillWorker
from tests.support.waiting import until

NAME = Name("workers", 50052)
REQUEST = RoutedRequest("r", (1,), Sampling(0, 1, 0, 0), StopRule(1, frozenset()), (), 0)


def endpoints(*hosts: str) -> frozenset[Endpoint]:
    return frozenset(Endpoint(f"{host}:50052", "workers") for host in hosts)


class Records:
    """What the name answers: endpoints, or the error of a resolver that gets no answer."""

    def __init__(self) -> None:
        self.answer: frozenset[Endpoint] | OSError = frozenset()
        self.asked = 0

    async def __call__(self, name: Name) -> frozenset[Endpoint]:
        self.asked += 1
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


class ReadyWorker(PrefillWorker):
    """Serves from its first moment: its health is of no interest here."""

    async def _follow(self) -> None:
        self._set_serving(True)
        await asyncio.Event().wait()


class Phase:
    """A crew at work, and whom it hired."""

    def __init__(self) -> None:
        self.records, self.hired = Records(), list[tuple[Endpoint, ReadyWorker]]()
        self.places: Places[ReadyWorker] = Places(first_come, 10)
        self.crew = Crew([NAME], self.places, self._hire, resolve_every_s=0.01, resolve=self.records)

    def _hire(self, endpoint: Endpoint) -> ReadyWorker:
        worker = ReadyWorker(endpoint, 4, lambda _: self.places.serve_line())
        self.hired.append((endpoint, worker))
        return worker


@pytest.fixture
async def phase() -> AsyncIterator[Phase]:
    phase = Phase()
    watching = asyncio.create_task(phase.crew.watch())
    yield phase
    watching.cancel()
    await asyncio.wait({watching})


def open_addresses(phase: Phase) -> set[str]:
    return {endpoint.address for endpoint, worker in phase.hired if worker.is_open}


@pytest.mark.parametrize("text", ["127.0.0.1:50052", "[::1]:50052", "prefill-0:50052", "unix:/run/p.sock"])
def test_a_plain_address_is_one_worker(text: str) -> None:
    assert parse_target(text, "--prefill") == Endpoint(text)


@pytest.mark.parametrize("text", ["dns:prefill", "dns:", "dns:unix:/run/p.sock", "prefill", "dns:prefill:port"])
def test_what_is_no_address_is_told_with_its_field(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_target(text, "--prefill")
    assert raised.value.field == "--prefill"
    assert "dns:HOST:PORT" in raised.value.help


async def test_a_name_is_asked_through_the_systems_resolver() -> None:
    found = await resolve(Name("localhost", 50052))
    assert Endpoint("127.0.0.1:50052", "localhost") in found
    assert found <= {Endpoint("127.0.0.1:50052", "localhost"), Endpoint("[::1]:50052", "localhost")}


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_AGAIN])
async def test_no_record_means_no_worker_and_no_answer_means_nothing(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "no record")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", refuse)
    if code == socket.EAI_AGAIN:
        with pytest.raises(OSError, match="no record"):
            await resolve(NAME)
    else:
        assert await resolve(NAME) == frozenset()


async def test_workers_are_hired_and_dismissed_as_records_come_and_go(phase: Phase) -> None:
    phase.records.answer = endpoints("10.0.0.1", "10.0.0.2")
    await until(lambda: open_addresses(phase) == {"10.0.0.1:50052", "10.0.0.2:50052"})
    phase.records.answer = endpoints("10.0.0.2", "10.0.0.3")
    await until(lambda: open_addresses(phase) == {"10.0.0.2:50052", "10.0.0.3:50052"})
    assert len(phase.hired) == 3


async def test_a_worker_that_is_found_no_more_keeps_its_requests_and_is_hired_anew(phase: Phase) -> None:
    phase.records.answer = endpoints("10.0.0.1")
    async with phase.places.place(REQUEST) as first:
        phase.records.answer = frozenset()
        await until(lambda: not phase.places.any_available)
        assert phase.places.in_flight_count == 1
        phase.records.answer = endpoints("10.0.0.1")
        async with asyncio.timeout(60), phase.places.place(REQUEST) as second:
            assert second is not first
            assert phase.places.in_flight_count == 2
    assert phase.places.in_flight_count == 0


async def test_a_renewed_crew_has_new_workers_and_the_old_ones_keep_their_requests(phase: Phase) -> None:
    """A channel keeps the certificate that it was opened with, so another certificate needs other channels."""
    phase.records.answer = endpoints("10.0.0.1")
    async with phase.places.place(REQUEST) as first:
        phase.crew.renew()
        async with asyncio.timeout(60), phase.places.place(REQUEST) as second:
            assert second is not first
            assert phase.places.in_flight_count == 2
    assert [endpoint.address for endpoint, _ in phase.hired] == ["10.0.0.1:50052"] * 2
    assert len(open_addresses(phase)) == 1


async def test_silence_of_the_resolver_changes_nothing(phase: Phase, caplog: pytest.LogCaptureFixture) -> None:
    phase.records.answer = endpoints("10.0.0.1")
    await until(lambda: phase.places.any_available)
    phase.records.answer = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    asked = phase.records.asked
    await until(lambda: phase.records.asked > asked + 2)
    assert phase.places.any_available
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "workers cannot be resolved: Temporary failure in name resolution"
    ]


async def test_a_lost_worker_is_asked_for_at_once() -> None:
    records = Records()
    discovery = Discovery(NAME, 3600, records)
    running = asyncio.create_task(discovery.run(lambda _: None))
    await until(lambda: records.asked == 1)
    discovery.ask_now()
    await until(lambda: records.asked == 2)
    running.cancel()
    await asyncio.wait({running})
