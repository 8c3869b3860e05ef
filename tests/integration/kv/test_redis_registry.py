"""The registry in a real Redis: transitions are atomic, entries hold ids only, and no failure of Redis costs more than
its timeout or lets a claim through twice."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis.asyncio as aioredis

from splitwiser.config.schema import RedisSettings
from splitwiser.errors import ConfigurationError, DuplicateRequest, RegistryUnavailable, StaleHandle
from splitwiser.kv.handle import Epoch, KvHandle
from splitwiser.kv.redis_registry import RedisRegistry
from splitwiser.kv.registry import Registry
from tests.support.certificates import write_secret
from tests.support.forwarder import forwarder
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S

HANDLE = KvHandle("store", "r1", Epoch(7, 1), (1, 2), 9, "hash", 0)
LEASE_S = 100.0
AGAIN = KvHandle("store", "r1", Epoch(7, 2), (3, 4), 9, "hash", 0)


@dataclass
class Redis:
    """A registry, and the server behind its back."""

    registry: Registry
    raw: "aioredis.Redis"

    async def entry(self) -> dict[bytes | str, bytes | str]:
        return await self.raw.hgetall("test:request:r1")


@pytest.fixture
async def real(redis_url: str) -> AsyncIterator[Redis]:
    # A busy machine may stand still for longer than the default timeouts.
    patient = RedisSettings(
        url=redis_url, prefix="test:", lease_s=LEASE_S, timeout_s=PATIENCE_S, open_timeout_s=PATIENCE_S
    )
    registry = RedisRegistry(patient)
    raw = aioredis.Redis.from_url(redis_url)
    yield Redis(registry, raw)
    await registry.close()
    await raw.aclose()


async def test_a_request_goes_from_open_by_granted_to_claimed_and_is_forgotten(real: Redis) -> None:
    await real.registry.ping()
    await real.registry.open("r1")
    assert await real.entry() == {b"state": b"open"}
    await real.registry.grant("r1", HANDLE)
    granted = {b"state": b"granted", b"store": b"store", b"handle": b"r1", b"epoch": b"0000000000000007.1"}
    assert await real.entry() == granted
    await real.registry.claim("r1", HANDLE.epoch)
    assert await real.entry() == {**granted, b"state": b"claimed"}
    await real.registry.forget("r1")
    assert await real.raw.keys("*") == []


async def test_a_request_in_flight_cannot_be_opened_again(real: Redis) -> None:
    outcomes = await asyncio.gather(*(real.registry.open("r1") for _ in range(20)), return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, DuplicateRequest) for outcome in outcomes) == 19


async def test_of_many_claims_at_once_one_succeeds(real: Redis) -> None:
    await real.registry.open("r1")
    await real.registry.grant("r1", HANDLE)
    claims = [real.registry.claim("r1", HANDLE.epoch) for _ in range(100)]
    outcomes = await asyncio.gather(*claims, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, StaleHandle) for outcome in outcomes) == 99


async def test_a_request_prefilled_again_is_claimed_under_its_new_epoch_only(real: Redis) -> None:
    await real.registry.open("r1")
    await real.registry.grant("r1", HANDLE)
    await real.registry.claim("r1", HANDLE.epoch)
    await real.registry.grant("r1", AGAIN)
    with pytest.raises(StaleHandle):
        await real.registry.claim("r1", HANDLE.epoch)
    await real.registry.claim("r1", AGAIN.epoch)


async def test_a_lost_entry_or_grant_does_not_stand_in_the_way(real: Redis) -> None:
    await real.registry.claim("r1", HANDLE.epoch)
    assert await real.entry() == {}
    await real.registry.open("r1")
    await real.registry.claim("r1", HANDLE.epoch)
    with pytest.raises(StaleHandle):
        await real.registry.claim("r1", HANDLE.epoch)


async def test_a_claim_that_overtakes_its_grant_stays_a_claim(real: Redis) -> None:
    await real.registry.open("r1")
    await real.registry.claim("r1", HANDLE.epoch)
    await real.registry.grant("r1", HANDLE)
    entry = await real.entry()
    assert (entry[b"state"], entry[b"handle"]) == (b"claimed", b"r1")
    await real.registry.grant("r1", AGAIN)
    assert (await real.entry())[b"state"] == b"granted"


async def test_a_grant_after_the_request_was_forgotten_leaves_nothing(real: Redis) -> None:
    await real.registry.open("r1")
    await real.registry.forget("r1")
    await real.registry.grant("r1", HANDLE)
    assert await real.raw.keys("*") == []


async def test_every_entry_has_a_lease_that_transitions_and_renewals_start_anew(real: Redis) -> None:
    steps: list[Callable[[], Awaitable[None]]] = [
        lambda: real.registry.open("r1"),
        lambda: real.registry.grant("r1", HANDLE),
        lambda: real.registry.renew(["r1", "gone"]),
        lambda: real.registry.claim("r1", HANDLE.epoch),
    ]
    for step in steps:
        await step()
        assert LEASE_S / 2 < await real.raw.pttl("test:request:r1") / 1e3 <= LEASE_S
        await real.raw.expire("test:request:r1", round(LEASE_S / 2))
    await real.raw.pexpire("test:request:r1", 1)
    await asyncio.sleep(0.1)
    assert await real.raw.keys("*") == []
    await real.registry.renew([])


async def test_what_others_put_under_the_key_is_an_error_and_no_crash(real: Redis) -> None:
    await real.raw.set("test:request:r1", b"\xff" * 100)
    with pytest.raises(RegistryUnavailable):
        await real.registry.claim("r1", HANDLE.epoch)
    await real.raw.delete("test:request:r1")
    await real.raw.hset("test:request:r1", "state", b"\xff\x00")
    await real.registry.claim("r1", HANDLE.epoch)


async def test_flushing_scripts_and_keys_does_not_disturb(real: Redis) -> None:
    await real.registry.open("r1")
    await real.raw.flushall()
    await real.raw.script_flush()
    await real.registry.grant("r1", HANDLE)
    await real.registry.claim("r1", HANDLE.epoch)
    await real.registry.open("r1")


async def test_a_burst_beyond_the_connections_is_served(real: Redis) -> None:
    await asyncio.gather(*(real.registry.open(f"r{number}") for number in range(200)))
    assert len(await real.raw.keys("test:*")) == 200
    assert (await real.raw.info("clients"))["connected_clients"] < 50


SOON_S = 3.5
"""Redis' own client would wait for 4 s where it is refused, and for 8 s where nothing answers."""


async def every_call_fails_in_time(registry: Registry) -> None:
    calls = [
        registry.open("r1"),
        registry.grant("r1", HANDLE),
        registry.claim("r1", HANDLE.epoch),
        registry.renew(["r1"]),
        registry.forget("r1"),
        registry.ping(),
    ]
    for call in calls:
        began_s = time.monotonic()
        with pytest.raises(RegistryUnavailable) as caught:
            await call
        assert time.monotonic() - began_s < SOON_S
        assert not caught.value.cause.endswith(": "), "it does not say what failed"
        assert caught.value.help


async def test_a_redis_that_hangs_refuses_or_comes_back_empty_costs_only_the_timeout(redis_server: RedisServer) -> None:
    registry = RedisRegistry(RedisSettings(url=redis_server.url, timeout_s=0.5, open_timeout_s=0.5))
    await registry.open("r1")
    redis_server.pause()
    await every_call_fails_in_time(registry)
    redis_server.resume()
    await registry.grant("r1", HANDLE)
    redis_server.end()
    await every_call_fails_in_time(registry)
    await asyncio.to_thread(redis_server.start)
    await registry.claim("r1", HANDLE.epoch)
    await registry.open("r1")
    await registry.close()


def test_a_wrong_url_names_the_setting() -> None:
    with pytest.raises(ConfigurationError, match=r"redis\.url"):
        RedisRegistry(RedisSettings(url="http://localhost"))


async def test_a_password_comes_from_its_own_setting_or_from_the_url(redis_server: RedisServer) -> None:
    async with aioredis.Redis.from_url(redis_server.url) as raw:
        await raw.config_set("requirepass", "secret")
    right = RedisSettings(url=redis_server.url, password="secret")
    in_url = RedisSettings(url=f"{redis_server.url}?password=secret", password="other")
    for settings in (right, in_url):
        registry = RedisRegistry(settings)
        await registry.ping()
        await registry.close()
    for settings in (RedisSettings(url=redis_server.url), right.model_copy(update={"password": "wrong"})):
        registry = RedisRegistry(settings)
        with pytest.raises(RegistryUnavailable, match=r"(?i)auth|password"):
            await registry.ping()
        await registry.close()


async def test_rediss_is_spoken_and_an_unknown_ca_refused(redis_server: RedisServer, tmp_path: Path) -> None:
    """Before a real Redis stands what ends TLS for it."""
    tls = write_secret(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.cert_file, tls.key_file)
    async with forwarder(redis_server.url.removeprefix("unix://"), context) as port:
        for query, works in ((f"?ssl_ca_certs={tls.ca_file}", True), ("", False)):
            registry = RedisRegistry(RedisSettings(url=f"rediss://127.0.0.1:{port}/0{query}", timeout_s=2))
            if works:
                await registry.ping()
            else:
                with pytest.raises(RegistryUnavailable, match="certificate"):
                    await registry.ping()
            await registry.close()
