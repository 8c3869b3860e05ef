"""Settings that are right one by one and wrong together are found before anything starts."""

from typing import Any

import pytest

from splitwiser.config.check import check_settings
from splitwiser.config.schema import Settings
from splitwiser.errors import ConfigurationError


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"pool": {"pages": 2, "prefill_share": 0.4}}, "pool.prefill_share"),
        ({"pool": {"pages": 3}, "decode": {"workers": 3}}, "pool.prefill_share"),
        ({"engine": {"kind": "vllm"}, "pool": {"page_tokens": 16}}, "pool.page_tokens"),
        ({"pool": {"prefix_cache": False, "host_pages": 8}}, "pool.host_pages"),
        ({"engine": {"kind": "transformers", "weight_offload_gib": 0.5}}, "engine.weight_offload_gib"),
        ({"engine": {"kind": "sim", "weight_offload_gib": 0.5}}, "engine.weight_offload_gib"),
        ({"gpu": {"sharing": "single"}, "decode": {"workers": 2}}, "decode.workers"),
        ({"gpu": {"sharing": "single"}, "engine": {"kind": "vllm"}}, "gpu.sharing"),
        ({"gpu": {"sharing": "single"}, "prefill": {"itl_target_ms": 24}}, "prefill.itl_target_ms"),
        ({"decode": {"room_tokens": 31}}, "decode.room_tokens"),
        ({"store": {"beat_s": 15, "lease_s": 20}}, "store.beat_s"),
        ({"redis": {"url": "http://127.0.0.1:6379"}}, "redis.url"),
        ({"redis": {"url": "127.0.0.1:6379"}}, "redis.url"),
        ({"redis": {"url": "redis://127.0.0.1:99999"}}, "redis.url"),
        ({"redis": {"url": "redis://"}}, "redis.url"),
        ({"redis": {"url": "unix://"}}, "redis.url"),
        ({"telemetry": {"otlp_endpoint": "127.0.0.1:4317"}}, "telemetry.otlp_endpoint"),
        ({"router": {"listen": "50051"}}, "router.listen"),
        ({"router": {"listen": "127.0.0.1:99999"}}, "router.listen"),
        ({"router": {"listen": "127.0.0.1:http"}}, "router.listen"),
        ({"router": {"listen": "::1:50051"}}, "router.listen"),
        ({"router": {"listen": "unix:"}}, "router.listen"),
        ({"router": {"listen": "0.0.0.0:50051"}}, "router.listen"),
        ({"router": {"listen": "some-host:50051"}}, "router.listen"),
        ({"router": {"listen": "unix:/" + "x" * 107}}, "router.listen"),
        ({"router": {"listen": "0.0.0.0:50051"}, "tls": {"ca_file": "ca.crt"}}, "router.listen"),
        ({"tls": {"cert_file": "tls.crt"}}, "tls.key_file"),
        ({"tls": {"key_file": "tls.key"}}, "tls.cert_file"),
        ({"router": {"http_listen": "8000"}}, "router.http_listen"),
        ({"router": {"http_listen": "unix:http.sock"}}, "router.http_listen"),
        ({"router": {"http_listen": "0.0.0.0:8000"}}, "router.http_listen"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_settings(Settings.model_validate(values))
    assert raised.value.field == field
    assert raised.value.help


@pytest.mark.parametrize(
    "listen", ["localhost:0", "127.0.0.1:50051", "[::1]:50051", "unix:router.sock", "unix:///run/r"]
)
def test_every_form_of_address_is_taken(listen: str) -> None:
    check_settings(Settings.model_validate({"router": {"listen": listen}}))


def test_plaintext_beyond_this_machine_is_taken_when_asked_for_by_name() -> None:
    check_settings(Settings.model_validate({"router": {"listen": "0.0.0.0:50051", "allow_plaintext": True}}))


def test_tls_beyond_this_machine_is_taken() -> None:
    tls = {"cert_file": "tls.crt", "key_file": "tls.key"}
    check_settings(Settings.model_validate({"router": {"listen": "0.0.0.0:50051"}, "tls": tls}))


def test_vllm_keeps_weights_on_the_host_on_either_device() -> None:
    for device in ("cpu", "cuda"):
        engine = {"kind": "vllm", "device": device, "weight_offload_gib": 0.5}
        check_settings(Settings.model_validate({"engine": engine}))


def test_the_default_of_a_pages_tokens_is_the_engines() -> None:
    for engine, tokens in (("sim", 16), ("transformers", 16), ("vllm", 32)):
        settings = Settings.model_validate({"engine": {"kind": engine}, "pool": {"pages": 8}})
        check_settings(settings)
        assert settings.pool.page_tokens == tokens
    assert Settings.model_validate({"engine": {"kind": "vllm"}, "pool": {"page_tokens": 64}}).pool.page_tokens == 64
