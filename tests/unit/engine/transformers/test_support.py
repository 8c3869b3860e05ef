"""What a configuration already gives away: models whose state pages cannot hold are refused before they are loaded."""

import pytest
from transformers import (
    BartConfig,
    FalconH1Config,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    PreTrainedConfig,
    Qwen3NextConfig,
)

from splitwiser.engine.transformers.support import refuse_config
from splitwiser.errors import StartupError


@pytest.mark.parametrize("config", [LlamaConfig(), OPTConfig(), MistralConfig(sliding_window=64)])
def test_attention_all_the_way_is_fine(config: PreTrainedConfig) -> None:
    refuse_config(config)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (BartConfig(), "it has an encoder"),
        (Qwen3NextConfig(), "layers of type linear_attention"),
        (FalconH1Config(), "layers of type hybrid"),
        (LlamaConfig(rope_parameters={"rope_type": "dynamic", "factor": 2.0}), "of type dynamic changes with"),
    ],
)
def test_other_states_are_refused_with_a_reason(config: PreTrainedConfig, reason: str) -> None:
    with pytest.raises(StartupError, match=reason) as caught:
        refuse_config(config)
    assert "decoder-only" in caught.value.help
