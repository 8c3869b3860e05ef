"""Pods of one release start in any order: a worker waits for its store."""

import asyncio
import json

from tests.support.pods import Pods
from tests.support.sockets import socket_folder

HEAD_START_S = 2.5
"""By then a worker that waits for nothing has ended."""


async def test_a_worker_that_comes_first_waits_for_its_store() -> None:
    with socket_folder() as folder:
        config = folder / "settings.json"
        redis = {"url": "redis://127.0.0.1:1"}
        config.write_text(json.dumps({"run_dir": str(folder), "engine": {"kind": "sim"}, "redis": redis}))
        pods = Pods(folder, config)
        try:
            worker = asyncio.create_task(pods.start("prefill", "prefill-0", "--listen", "127.0.0.1:0"))
            await asyncio.sleep(HEAD_START_S)
            assert not worker.done()
            await pods.start("store", "store")
            assert (await worker).process.returncode is None
        finally:
            await pods.stop()
