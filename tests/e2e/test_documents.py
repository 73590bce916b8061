"""Every how-to of docs/ carried out as it stands, each on a machine of its own (see documents/)."""

import os
import subprocess
import sys

import pytest

from conftest import ROOT

HOW_TOS = sorted((ROOT / "docs/how-to").glob("*.md"))
WORLD = ROOT / "tests/e2e/documents/world.py"


@pytest.mark.parametrize("document", HOW_TOS, ids=lambda path: path.stem)
def test_a_how_to_does_what_it_says(tmp_path, document):
    if os.geteuid() != 0:
        pytest.skip("SKIPPED: a network and devices of one's own need root")
    # Namespaces of its own for network, mounts and processes: whatever the document starts ends with them.
    walked = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, WORLD, document, tmp_path],
        capture_output=True, text=True, timeout=400,
    )
    assert walked.returncode == 0, walked.stdout + walked.stderr


def test_a_document_that_is_wrong_is_found(tmp_path):
    """The walker sees a script that fails, output that does not come, and a fence that means nothing."""
    sys.path.insert(0, str(WORLD.parent))
    from walk import Walk

    def walk(text):
        document = tmp_path / "a.md"
        document.write_text(text)
        walker = Walk(tmp_path, dict(os.environ), seconds=1)
        try:
            walker.document(document)
        finally:
            walker.close()

    walk("```yaml a.yaml\nb: 1\n```\n\n```sh\ncat a.yaml\n```\n\n```text\nb: ...\n```\n")
    with pytest.raises(SystemExit, match="a.md:1: exit code 1"):
        walk("```sh\nfalse\n```\n")
    with pytest.raises(SystemExit, match="should have\nb: 2"):
        walk("```sh\ncat a.yaml\n```\n\n```text\nb: 2\n```\n")
    with pytest.raises(SystemExit, match="means nothing"):
        walk("```sh bakcground\ntrue\n```\n")
