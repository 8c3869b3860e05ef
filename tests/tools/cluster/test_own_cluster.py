"""The other form of `make test-cluster`: with KUBECONFIG set it makes no cluster, and tests that one."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_cluster_of_kubeconfig_is_tested(binaries: str, tmp_path: Path) -> None:
    """On a cluster that somebody else started: the tests of refusals, of which few need a release."""
    cluster = [sys.executable, "-m", "tools.cluster", f"--binaries={binaries}", f"--logs={tmp_path / 'logs'}", "--"]
    user = ["env", "--unset=SPLITWISER_TEST_NODE", "make", "--no-print-directory", "test-cluster"]
    done = subprocess.run(
        [*cluster, *user, "ARGS=--verbose -k 'refused or third_pod_waits'"],
        env=os.environ | {"MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        timeout=390,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("cluster_ready_s") == 1, "a second cluster was made"
    assert "test_host_path_is_refused PASSED" in done.stdout
    assert "the node is another machine" in done.stdout, "what looks at the node was not left out"
