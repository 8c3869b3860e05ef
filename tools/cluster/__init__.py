"""A real Kubernetes of one node in namespaces of its own, for one command: `python -m tools.cluster -- COMMAND`."""
