"""One GPU under two processes at once: NVIDIA MPS, its daemon, who is attached to it, what its caps do to numbers."""
