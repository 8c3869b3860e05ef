"""The vllm engine: vLLM's own scheduler, kernels and sampler in each worker, over the stack's one pool and weights."""
