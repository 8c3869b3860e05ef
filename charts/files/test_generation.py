"""What `helm test` runs: two real generations through the router by gRPC, and whether their answers are right."""

import json
import os
import subprocess
import sys
from typing import Any

PROMPT = "Splitwiser splits prefill from decode on one GPU."
TOKENS = 16
ASK = ("--max-tokens", str(TOKENS), "--ignore-eos", "--temperature", "0", "--deadline", "60", "--json")
# With these an answer depends on its prompt alone, never on what else is in the batch.
EXACT = ("sim", "transformers")


def generate() -> dict[str, Any]:
    """One answer, as `splitwiser generate --json` prints it."""
    command = [sys.executable, "-m", "splitwiser.cli", "generate", PROMPT, "--address", os.environ["ROUTER"], *ASK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the generation failed: {done.stderr.strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def expect(holds: bool, what: str, answer: dict[str, Any]) -> None:
    """End the test unless it holds."""
    if not holds:
        sys.exit(f"wrong answer: {what}: {json.dumps(answer)}")


first, second = generate(), generate()
for answer in (first, second):
    expect(len(answer["token_ids"]) == TOKENS, f"not {TOKENS} tokens", answer)
    expect(answer["finish_reason"] == "length", "not ended by its length", answer)
    expect(answer["usage"]["completion_tokens"] == TOKENS, "its usage tells other tokens", answer)
    expect(answer["usage"]["prompt_tokens"] > 0, "its prompt has no tokens", answer)
    expect(isinstance(answer["text"], str) and answer["text"] != "", "no text", answer)
if os.environ["ENGINE"] in EXACT:
    expect(first["token_ids"] == second["token_ids"], "not the tokens of the same request before", second)
print(f"{2 * TOKENS} tokens in two generations, as they should be: {first['text']!r}")
