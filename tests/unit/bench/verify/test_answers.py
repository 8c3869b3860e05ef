"""Asking: many at a time but no more than allowed, and errors are answers."""

from pathlib import Path

from splitwiser.bench.verify.answers import Answer, Asker
from splitwiser.bench.verify.cases import Case
from splitwiser.rpc.client import Client
from tests.unit.bench.inference_server import TinyInference, serving


async def test_all_cases_are_asked_and_each_first_token_is_told(tmp_path: Path) -> None:
    firsts: list[int] = []
    answers: list[Answer] = []
    cases = [Case(f"c{i}", (1,), 3) for i in range(10)]
    async with serving(TinyInference(), tmp_path) as address, Client(address) as client:
        await Asker(client, 3, lambda: firsts.append(1)).ask_all(cases, "first", answers.append)
    assert sorted(answer.case.name for answer in answers) == sorted(case.name for case in cases)
    assert all((answer.tokens, answer.end) == ([0, 1, 2], "LENGTH") for answer in answers)
    assert len(firsts) == 10


async def test_no_more_than_the_allowed_number_is_in_flight(tmp_path: Path) -> None:
    servicer = TinyInference(first_s=0.3)
    cases = [Case(f"c{i}", (1,), 1) for i in range(4)]
    answers: list[Answer] = []
    in_flight: list[int] = []

    def take(answer: Answer) -> None:
        answers.append(answer)
        in_flight.append(servicer.events.qsize() - len(answers) + 1)

    async with serving(servicer, tmp_path) as address, Client(address) as client:
        await Asker(client, 2).ask_all(cases, "first", take)
    assert max(in_flight) <= 2


async def test_an_error_is_an_answer(tmp_path: Path) -> None:
    async with Client(f"unix:{tmp_path}/nobody.sock") as client:
        answer = await Asker(client, 1).ask(Case("c", (1,), 3), "first")
    assert answer.end.startswith("WORKER_LOST")


async def test_a_refusal_that_says_when_is_followed_by_another_try(tmp_path: Path) -> None:
    async with serving(TinyInference(refusals=2), tmp_path) as address, Client(address) as client:
        asker = Asker(client, 1)
        answer = await asker.ask(Case("c", (1,), 3), "first")
    assert (answer.tokens, answer.end, asker.refusals) == ([0, 1, 2], "LENGTH", 2)


async def test_endless_refusals_are_an_answer(tmp_path: Path) -> None:
    async with serving(TinyInference(refusals=99), tmp_path) as address, Client(address) as client:
        answer = await Asker(client, 1).ask(Case("c", (1,), 3), "first")
    assert answer.end.startswith("OVERLOADED")
