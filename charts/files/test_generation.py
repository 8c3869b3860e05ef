"""What `helm test` runs: real generations through the router by gRPC and HTTP, and whether their answers are right."""

import json
import os
import ssl
import subprocess
import sys
import urllib.request
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


def complete(door: str) -> dict[str, Any]:
    """One answer of the OpenAI-compatible API for the same prompt."""
    context = None
    if door.startswith("https:"):
        context = ssl.create_default_context(cafile=os.environ["SPLITWISER_TLS__CA_FILE"])
        context.load_cert_chain(os.environ["SPLITWISER_TLS__CERT_FILE"], os.environ["SPLITWISER_TLS__KEY_FILE"])

    def call(path: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(door + path, data=body, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60, context=context) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    model = call("/v1/models")["data"][0]["id"]
    body = {"model": model, "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0}
    return call("/v1/completions", json.dumps(body).encode())


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
if door := os.environ.get("HTTP_DOOR"):
    completion = complete(door)
    expect(0 < completion["usage"]["completion_tokens"] <= TOKENS, "wrong usage by HTTP", completion)
    if os.environ["ENGINE"] in EXACT:
        expect(first["text"].startswith(completion["choices"][0]["text"]), "another answer by HTTP", completion)
print(f"{2 * TOKENS} tokens in two generations, as they should be: {first['text']!r}")
