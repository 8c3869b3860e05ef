"""The weights segment: everything a model holds, once, read in place by whoever maps it."""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from splitwiser.engine.transformers.library import empty_model, load_model, read_config
from splitwiser.engine.transformers.tiny import make_tiny
from splitwiser.engine.transformers.weights import attach_weights, make_weights
from splitwiser.errors import StartupError
from splitwiser.memory.local_segments import LocalSegments
from splitwiser.memory.segment import Segment


async def published(model: Path) -> Segment:
    segments = LocalSegments()
    segment = await segments.obtain("weights", lambda: make_weights(lambda: load_model(str(model), "float32"), "it"))
    segments.close()
    return segment


def tensors_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {
        f"{prefix}.{name}": tensor
        for prefix, module in model.named_modules(remove_duplicate=False)
        for held in (module._parameters, module._buffers, vars(module))
        for name, tensor in held.items()
        if isinstance(tensor, torch.Tensor)
    }


@pytest.mark.parametrize("architecture", ["llama", "opt", "gpt_neox"])
async def test_an_attached_model_computes_what_a_loaded_one_does(
    architecture: str, tiny_model: Callable[[str], Path]
) -> None:
    folder = tiny_model(architecture)
    model = empty_model(read_config(str(folder)), "float32")
    attach_weights(model, await published(folder), "it")
    token_ids = torch.arange(20)[None]
    with torch.inference_mode():
        assert torch.equal(model(token_ids).logits, load_model(str(folder), "float32")(token_ids).logits)


async def test_every_tensor_lies_in_the_segment_and_nowhere_else(tiny_model: Callable[[str], Path]) -> None:
    segment = await published(tiny_model("llama"))
    model = empty_model(read_config(str(tiny_model("llama"))), "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attach_weights(model, segment, "it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = torch.frombuffer(segment.buffer, dtype=torch.uint8).data_ptr()
    tensors = tensors_of(model)
    assert any("inv_freq" in name for name in tensors)  # Not in the checkpoint: computed when the model was loaded.
    for name, tensor in tensors.items():
        assert start <= tensor.data_ptr() < start + segment.size_bytes, name


async def test_tied_tensors_are_one(tmp_path: Path) -> None:
    tied = make_tiny(tmp_path / "tied", tie_word_embeddings=True)
    untied = make_tiny(tmp_path / "untied")
    segment = await published(tied)
    model = empty_model(read_config(str(tied)), "float32")
    attach_weights(model, segment, "it")
    tensors = dict(model.named_parameters(remove_duplicate=False))
    embedding, head = tensors["model.embed_tokens.weight"], tensors["lm_head.weight"]
    assert embedding.data_ptr() == head.data_ptr()
    assert (await published(untied)).size_bytes - segment.size_bytes == head.numel() * 4


async def test_weights_of_another_model_are_refused(tiny_model: Callable[[str], Path]) -> None:
    segment = await published(tiny_model("llama"))
    model = empty_model(read_config(str(tiny_model("llama"))), "float32")
    with pytest.raises(StartupError, match="holds the weights of it, this worker is to run another"):
        attach_weights(model, segment, "another")


async def test_a_segment_that_lacks_a_tensor_is_refused(tiny_model: Callable[[str], Path]) -> None:
    segment = await published(tiny_model("llama"))
    manifest = json.loads(segment.manifest)
    lost = manifest["entries"].pop()
    model = empty_model(read_config(str(tiny_model("llama"))), "float32")
    with pytest.raises(StartupError, match=f"lacks {lost['name']}"):
        attach_weights(model, Segment("weights", segment.buffer, json.dumps(manifest).encode()), "it")


PRIVATE_MEMORY = """
import asyncio, gc, sys
from pathlib import Path
from splitwiser.engine.transformers.build import load
from splitwiser.memory.local_segments import LocalSegments
from tests.unit.engine.transformers.serving import settings_of

def private_kb():
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0])

small, large = (settings_of(Path(folder), pages=64) for folder in sys.argv[1:])
held = [asyncio.run(load(small, LocalSegments()))]  # Imports and first use of everything.
before = private_kb()
held.append(asyncio.run(load(large, LocalSegments())))
print(private_kb() - before)
"""


@pytest.mark.slow
def test_the_maker_keeps_no_copy_of_its_own(tmp_path: Path, tiny_model: Callable[[str], Path]) -> None:
    large = make_tiny(tmp_path / "large", hidden_size=512, intermediate_size=8192)
    weights_kb = (large / "model.safetensors").stat().st_size // 1024
    command = (sys.executable, "-c", PRIVATE_MEMORY, str(tiny_model("llama")), str(large))
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert weights_kb > 100_000
    assert int(result.stdout.split()[-1]) < weights_kb // 5
