"""The other form of `make test-cluster`: with KUBECONFIG set it makes no cluster, and tests that one."""

import os
import re
import subprocess
import sys
from pathlib import Path


def test_the_cluster_of_kubeconfig_is_tested(binaries: str, small: Path, tmp_path: Path) -> None:
    """On a cluster that somebody else started: the tests of what helm refuses, which need no images."""
    options = (f"--binaries={binaries}", f"--images={small}", f"--logs={tmp_path / 'logs'}")
    cluster = [sys.executable, "-m", "tools.cluster", *options, "--"]
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
    assert re.search(r"PASSED \S*test_host_path_is_refused", done.stdout)
    assert "the node is another machine" in done.stdout, "what looks at the node was not left out"
