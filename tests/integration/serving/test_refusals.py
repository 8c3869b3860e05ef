"""Whatever is wrong with a request, it gets one status with a field and a help line, and nothing of it is left."""

import asyncio
import time
from statistics import median

import grpc
import pytest

from splitwiser import errors
from splitwiser.rpc import status
from splitwiser.rpc.client import Client, open_channel
from splitwiser.v1 import inference_pb2_grpc
from splitwiser.v1.inference_pb2 import GenerateRequest, TokenIds
from splitwiser.v1.sampling_pb2 import SamplingParams, StopConditions
from tests.support.stack import RunningStack

INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def refusal(address: str, request: GenerateRequest, timeout_s: float = 10.0) -> grpc.aio.AioRpcError:
    """The error that the whole stream ended with; it must not have sent anything before."""
    async with open_channel(address) as channel:
        call = inference_pb2_grpc.InferenceServiceStub(channel).Generate(request, timeout=timeout_s)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        return caught.value


@pytest.mark.parametrize(
    ("request_", "code", "field"),
    [
        (GenerateRequest(), INVALID, "prompt"),
        (GenerateRequest(text=""), INVALID, "text"),
        (GenerateRequest(token_ids=TokenIds(ids=[1] * 9000)), INVALID, "prompt"),
        (
            GenerateRequest(text="x", stop=StopConditions(max_tokens=0)),
            INVALID,
            "stop.max_tokens",
        ),
        (
            GenerateRequest(text="x", stop=StopConditions(max_tokens=99_999)),
            INVALID,
            "stop.max_tokens",
        ),
        (GenerateRequest(text="x", model="gpt-5"), grpc.StatusCode.NOT_FOUND, "model"),
        (
            GenerateRequest(text="x", sampling=SamplingParams(top_p=2)),
            INVALID,
            "sampling.top_p",
        ),
        (GenerateRequest(text="x", request_id="a\nb"), INVALID, "request_id"),
        (
            GenerateRequest(text="x", stop=StopConditions(stop=["s" * 999])),
            INVALID,
            "stop.stop",
        ),
    ],
)
async def test_a_wrong_request_is_refused(
    stack: RunningStack, request_: GenerateRequest, code: grpc.StatusCode, field: str
) -> None:
    error = await refusal(stack.address, request_)
    decoded = status.decode(error)
    assert (error.code(), decoded.field) == (code, field)
    assert decoded.help
    await stack.assert_nothing_is_left()


async def test_a_second_request_of_one_id_is_refused_and_the_first_goes_on(stack: RunningStack) -> None:
    request = GenerateRequest(request_id="twice", text="x", stop=StopConditions(max_tokens=8000, ignore_eos=True))
    async with Client(stack.address) as client:
        first = client.generate(request, timeout_s=30)
        await anext(first)
        error = await refusal(stack.address, request)
        assert error.code() == grpc.StatusCode.ALREADY_EXISTS
        assert status.decode(error).field == "request_id"
        await anext(first)
        await first.aclose()
    await stack.assert_nothing_is_left()


async def test_a_deadline_ends_the_request_everywhere(stack: RunningStack) -> None:
    request = GenerateRequest(text="x", stop=StopConditions(max_tokens=8000, ignore_eos=True))
    took_s = list[float]()
    async with Client(stack.address) as client:
        for _ in range(7):
            started_s = time.monotonic()
            with pytest.raises(errors.DeadlineExceeded):
                async for _ in client.generate(request, timeout_s=0.4):
                    pass
            took_s.append(time.monotonic() - started_s)
    # A single one may be late because the machine is.
    assert median(took_s) < 0.4 + 0.1
    await stack.assert_nothing_is_left()


async def test_a_deadline_that_has_passed_is_told(stack: RunningStack) -> None:
    async with Client(stack.address) as client:
        with pytest.raises(errors.DeadlineExceeded):
            async for _ in client.generate(GenerateRequest(text="x"), timeout_s=0):
                pass
    await stack.assert_nothing_is_left()


async def test_a_client_that_leaves_frees_its_pages(stack: RunningStack) -> None:
    request = GenerateRequest(text="leaving", stop=StopConditions(max_tokens=8000, ignore_eos=True))
    async with Client(stack.address) as client:
        streams = [client.generate(request, timeout_s=30) for _ in range(20)]
        await asyncio.gather(*(anext(stream) for stream in streams))
        await asyncio.gather(*(stream.aclose() for stream in streams))
    await stack.assert_nothing_is_left()
