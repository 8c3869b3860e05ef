"""Owns `splitwiser up`: the local stack in the terminal, until somebody stops it."""

import asyncio

from rich.console import Console

from splitwiser.cli.board import Board
from splitwiser.cli.model import with_model
from splitwiser.config.schema import Settings
from splitwiser.stack.gpu_check import check_gpu
from splitwiser.stack.local import LocalStack


async def serve(settings: Settings) -> None:
    """Run the stack until this is cancelled. Raises StoreLost or RegistryUnavailable when it cannot go on."""
    with Board(Console()) as board:
        settings = await with_model(settings, board.say)
        if settings.engine.device == "cuda":
            board.say(str(await asyncio.to_thread(check_gpu, settings)))
        async with LocalStack(settings, on_change=board.show) as stack:
            if stack.http_address:
                scheme = "https" if settings.tls.cert_file else "http"
                board.say(f"OpenAI API at {scheme}://{stack.http_address}/v1")
            board.say(f"serving at {stack.address}; Ctrl-C drains and stops")
            await stack.wait()


async def check_only(settings: Settings) -> None:
    """Check settings and machine and start nothing. Raises ConfigurationError or StartupError."""
    await LocalStack(settings).check(makes_model=True)
    print("settings and machine are fine")
