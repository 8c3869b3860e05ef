"""What a whole vLLM is given besides its arguments. It runs in tests/integration/vllm."""

import os
from pathlib import Path

import pytest

from splitwiser.engine.unsplit.vllm import keep_sockets_in


@pytest.mark.parametrize(("folder", "kept"), [("/" + "r" * 69, "/" + "r" * 69), ("/" + "r" * 70, None)])
def test_its_sockets_go_to_the_run_folder_if_their_names_fit(
    folder: str, kept: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """107 bytes are what the system takes, of which 37 are the name's."""
    monkeypatch.setattr(os, "environ", {})
    keep_sockets_in(Path(folder))
    assert os.environ.get("VLLM_RPC_BASE_PATH") == kept
