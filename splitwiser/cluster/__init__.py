"""Experiments as Jobs of a Kubernetes cluster. The client is imported where it is used: it is an extra."""
