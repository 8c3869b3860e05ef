"""How the engine comes to be: once in the stack, the same for every worker, or refused with a line that helps."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from splitwiser.engine.transformers import build
from splitwiser.engine.transformers.build import load
from splitwiser.errors import LayoutMismatch, StartupError
from splitwiser.kv.layout import LayerShape, PoolLayout
from splitwiser.memory.local_segments import LocalSegments
from splitwiser.memory.segment import Made, Mapper, Segment
from tests.unit.engine.transformers.serving import never, settings_of


class CountingSegments:
    """LocalSegments that count what is made."""

    def __init__(self) -> None:
        self._segments = LocalSegments()
        self.made: list[str] = []

    async def obtain(
        self,
        name: str,
        make: Callable[[], Made],
        *,
        layout: PoolLayout | None = None,
        mapper: Mapper | None = None,
    ) -> Segment:
        def counted() -> Made:
            self.made.append(name)
            return make()

        return await self._segments.obtain(name, counted, layout=layout, mapper=mapper)


async def test_weights_and_pool_are_made_once_and_the_layout_is_the_models(tiny_model: Callable[[str], Path]) -> None:
    settings = settings_of(tiny_model("llama"), pages=64)
    segments = CountingSegments()
    first, second = await load(settings, segments), await load(settings, segments)
    assert segments.made == ["weights", "pool"]
    assert first.layout == second.layout
    expected = PoolLayout(str(tiny_model("llama")), "float32", 16, 64, (LayerShape(2, 32, 32),) * 4)
    assert first.layout == expected
    assert first.interface == "attention"


async def test_the_pools_manifest_is_its_layout(tiny_model: Callable[[str], Path]) -> None:
    segments = LocalSegments()
    layout = (await load(settings_of(tiny_model("opt"), pages=64), segments)).layout
    fields = json.loads((await segments.obtain("pool", never, layout=layout)).manifest)
    layers = tuple(LayerShape(**layer) for layer in fields.pop("layers"))
    assert PoolLayout(**fields, layers=layers).hash == layout.hash


async def test_a_pool_of_another_layout_is_refused(tiny_model: Callable[[str], Path]) -> None:
    segments = LocalSegments()
    await load(settings_of(tiny_model("llama"), pages=64), segments)
    with pytest.raises(LayoutMismatch):
        await load(settings_of(tiny_model("llama"), pages=65), segments)


async def test_weights_in_another_dtype_are_refused(tiny_model: Callable[[str], Path]) -> None:
    segments = LocalSegments()
    settings = settings_of(tiny_model("llama"), pages=64)
    await load(settings, segments)
    other = settings.model_copy(update={"engine": settings.engine.model_copy(update={"dtype": "bfloat16"})})
    with pytest.raises(StartupError, match=r"in float32 by .*, this worker is to run .* in bfloat16"):
        await load(other, segments)


async def test_weights_by_another_version_of_the_library_are_refused(
    tiny_model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    segments, settings = LocalSegments(), settings_of(tiny_model("llama"), pages=64)
    await load(settings, segments)
    monkeypatch.setattr(build, "version", lambda package: "4.0.0")
    with pytest.raises(StartupError, match=r"by transformers \S+ .* is to run .* by transformers 4\.0\.0") as told:
        await load(settings, segments)
    assert "same settings and versions" in told.value.help


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
async def test_half_precision_halves_the_pool(dtype: str, tiny_model: Callable[[str], Path]) -> None:
    settings = settings_of(tiny_model("qwen3"), pages=64)
    half = settings.model_copy(update={"engine": settings.engine.model_copy(update={"dtype": dtype})})
    whole, halved = await load(settings, LocalSegments()), await load(half, LocalSegments())
    assert halved.layout == replace(whole.layout, dtype=dtype)
    assert halved.layout.pool_bytes * 2 == whole.layout.pool_bytes


def truncate_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])


def remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def remove_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def want_more_layers(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 6}))


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (truncate_weights, "weights of .* cannot be loaded"),
        (remove_weights, "weights of .* cannot be loaded"),
        (break_config, "configuration of .* cannot be read"),
        (remove_config, "configuration of .* cannot be read"),
        (want_more_layers, "the checkpoint lacks 18 tensors"),
        (shutil.rmtree, "configuration of .* cannot be read"),
    ],
)
async def test_a_broken_model_folder_is_told_in_a_line(
    spoil: Callable[[Path], None], cause: str, tmp_path: Path, tiny_model: Callable[[str], Path]
) -> None:
    folder = shutil.copytree(tiny_model("llama"), tmp_path / "model")
    spoil(folder)
    with pytest.raises(StartupError, match=cause) as caught:
        await load(settings_of(folder), LocalSegments())
    assert caught.value.help


async def test_no_model_at_all_is_told(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    nameless = settings.model_copy(update={"engine": settings.engine.model_copy(update={"model": ""})})
    with pytest.raises(StartupError, match="no model is named"):
        await load(nameless, LocalSegments())
