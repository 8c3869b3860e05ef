"""Owns the registry in Redis: the only place that speaks to it. What Redis answers is data of a stranger's.

No call waits longer than its timeout, however Redis fails, and none is tried again here.
"""

import asyncio
from collections.abc import Awaitable, Collection
from typing import Any, Protocol

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from splitwiser.errors import ConfigurationError, DuplicateRequest, RegistryUnavailable, StaleHandle
from splitwiser.kv import redis_scripts
from splitwiser.kv.handle import Epoch, KvHandle

MAX_CONNECTIONS = 32
"""More calls than this at a time wait for a connection, within their timeout."""


class RedisOptions(Protocol):
    """What config.schema.RedisSettings has."""

    @property
    def url(self) -> str: ...
    @property
    def password(self) -> str: ...
    @property
    def prefix(self) -> str: ...
    @property
    def timeout_s(self) -> float: ...
    @property
    def open_timeout_s(self) -> float: ...
    @property
    def lease_s(self) -> float: ...


class RedisRegistry:
    """A Registry over one Redis server. It connects at its first call, and again after every failure."""

    def __init__(self, options: RedisOptions) -> None:
        self._prefix = options.prefix + "request:"
        self._timeout_s = options.timeout_s
        self._open_timeout_s = options.open_timeout_s
        self._lease_ms = round(options.lease_s * 1000)
        self._redis = aioredis.Redis(connection_pool=_pool(options))
        self._open = self._redis.register_script(redis_scripts.OPEN)
        self._grant = self._redis.register_script(redis_scripts.GRANT)
        self._claim = self._redis.register_script(redis_scripts.CLAIM)

    async def open(self, request_id: str) -> None:
        """As Registry has it."""
        answer = await self._answer(self._call(self._open, request_id), self._open_timeout_s)
        if answer == b"duplicate":
            raise DuplicateRequest(
                f"request {request_id} is in flight", field="request_id", help="use a new id, or wait for its end"
            )

    async def grant(self, request_id: str, handle: KvHandle) -> None:
        """As Registry has it."""
        await self._answer(self._call(self._grant, request_id, handle.store, handle.handle_id, str(handle.epoch)))

    async def claim(self, request_id: str, epoch: Epoch) -> None:
        """As Registry has it."""
        answer = await self._answer(self._call(self._claim, request_id, str(epoch)))
        if answer in (b"claimed", b"other_epoch"):
            raise StaleHandle(f"the KV of request {request_id} was claimed or granted anew", help="prefill it again")

    async def renew(self, request_ids: Collection[str]) -> None:
        """As Registry has it."""
        pipeline = self._redis.pipeline(transaction=False)
        for request_id in request_ids:
            pipeline.pexpire(self._key(request_id), self._lease_ms)
        await self._answer(pipeline.execute())

    async def forget(self, request_id: str) -> None:
        """As Registry has it."""
        await self._answer(self._redis.delete(self._key(request_id)))

    async def ping(self) -> None:
        """As Registry has it."""
        await self._answer(self._redis.ping())

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    def _key(self, request_id: str) -> str:
        return self._prefix + request_id

    def _call(self, script: Any, request_id: str, *arguments: str) -> Awaitable[object]:
        call: Awaitable[object] = script(keys=[self._key(request_id)], args=[self._lease_ms, *arguments])
        return call

    async def _answer(self, call: Awaitable[object], timeout_s: float | None = None) -> object:
        try:
            async with asyncio.timeout(timeout_s or self._timeout_s):
                return await call
        except (RedisError, OSError) as error:
            # TimeoutError is an OSError. The text may hold a server's address, never a key's value.
            cause = f"Redis does not answer: {str(error) or type(error).__name__}"
            raise RegistryUnavailable(cause, help="see whether Redis runs; try again", retry_after_s=1.0) from error


def _pool(options: RedisOptions) -> aioredis.BlockingConnectionPool:
    try:
        return aioredis.BlockingConnectionPool.from_url(
            options.url,
            # One in the URL wins.
            **({"password": options.password} if options.password else {}),
            max_connections=MAX_CONNECTIONS,
            timeout=options.open_timeout_s,
            socket_timeout=options.open_timeout_s,
            socket_connect_timeout=options.open_timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise ConfigurationError(
            str(error), field="redis.url", help="give redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH"
        ) from None
