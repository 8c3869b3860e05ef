"""Runs in a pod of the cluster: sends requests through the router's Service, and prints a line of JSON as each ends.

`python - ADDRESS REQUESTS PER_SECOND MAX_TOKENS STOP_FILE`, this file on standard input. Once STOP_FILE exists it sends
no more.
"""

import asyncio
import json
import os
import sys
import time
from contextlib import aclosing
from typing import Any

from splitwiser.errors import SplitwiserError
from splitwiser.rpc.client import Client
from splitwiser.v1 import inference_pb2, sampling_pb2

DEADLINE_S = 60.0


def request(index: int, max_tokens: int) -> inference_pb2.GenerateRequest:
    """Different prompts of 20 to 100 tokens, greedily answered."""
    prompt = [(index * 37 + position * 11) % 200 + 10 for position in range(20 + index * 13 % 80)]
    return inference_pb2.GenerateRequest(
        token_ids=inference_pb2.TokenIds(ids=prompt),
        sampling=sampling_pb2.SamplingParams(temperature=0),
        stop=sampling_pb2.StopConditions(max_tokens=max_tokens, ignore_eos=True),
    )


async def send(client: Client, index: int, max_tokens: int) -> dict[str, Any]:
    """What became of one request: prompt, tokens, how many messages they came in, and the error, if one."""
    asked, messages, error = request(index, max_tokens), 0, ""
    tokens: list[int] = []
    start_s = time.monotonic()
    try:
        async with aclosing(client.generate(asked, timeout_s=DEADLINE_S)) as answer:
            async for message in answer:
                messages += bool(message.token_ids)
                tokens += message.token_ids
    except SplitwiserError as failed:
        error = f"{failed.reason}: {failed}"
    took_s = round(time.monotonic() - start_s, 3)
    return {"prompt": list(asked.token_ids.ids), "tokens": tokens, "messages": messages, "error": error, "s": took_s}


async def main(address: str, requests: int, per_second: float, max_tokens: int, stop_file: str) -> None:
    async def one(client: Client, index: int) -> None:
        print(json.dumps(await send(client, index, max_tokens)), flush=True)

    # Several clients: each has a connection of its own, which the Service leads to some router.
    clients = [Client(address) for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        for index in range(requests):
            if os.path.exists(stop_file):  # noqa: ASYNC240, PTH110
                break
            group.create_task(one(clients[index % len(clients)], index))
            await asyncio.sleep(1 / per_second)
    for client in clients:
        await client.__aexit__()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
