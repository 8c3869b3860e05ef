"""Tests against a real Kubernetes: `make test-cluster`."""
