"""The one process of a verification that may load torch: makes models, and answers requests with a model unsplit.

Called as `python -m splitwiser.bench.verify.torch_process` with a Job as JSON on stdin; prints one JSON line a result.
"""

import json
import sys
from pathlib import Path

from splitwiser.engine.transformers.reference import Reference
from splitwiser.engine.transformers.tiny import make_tiny


def main() -> None:
    """{"make": architecture, "folder": folder}, or {"model": folder or id, "requests": [[prompt ids, tokens], ...]}."""
    job = json.load(sys.stdin)
    if "make" in job:
        make_tiny(Path(job["folder"]), job["make"])
        return
    reference = Reference(job["model"])
    for prompt_ids, tokens in job["requests"]:
        print(json.dumps(reference.generate(prompt_ids, tokens)), flush=True)


if __name__ == "__main__":
    main()
