"""What is shipped goes over slow links to small disks: who makes the packages makes none that is too large."""

import os
import subprocess

from conftest import AMD64, PROGRAM, ROOT, run

# Any program of this machine that is small; what is appended to one is no part of what runs.
SMALL = "/usr/bin/true"


def packaged(directory, program):
    """What `cross/package` says of a program, as if `cross/build` had made it."""
    built = directory / AMD64 / "dist"
    built.mkdir(parents=True)
    (built / "fieldhold").write_bytes(program)
    (built / "fieldhold").chmod(0o755)
    words = [ROOT / "cross/package", AMD64]
    environment = {**os.environ, "FIELDHOLD_BUILT": str(directory)}
    return subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment)


def test_a_program_or_a_package_that_is_too_large_is_refused_with_what_to_do(tmp_path):
    small = open(SMALL, "rb").read()
    made = packaged(tmp_path / "small", small)
    assert made.returncode == 0 and made.stdout.splitlines()[-1].endswith("fieldhold_amd64.deb"), made
    # As a build that was made for speed, not for size.
    run("strip", "-o", tmp_path / "stripped", PROGRAM)
    large = (tmp_path / "stripped").read_bytes()
    assert len(large) > 15_000_000, "the program of the tests is not what is shipped"
    for name, program, most in [
        ("one byte", small + bytes(15_000_001 - len(small)), 15_000_000),
        ("debug", large, 15_000_000),
        # The program is just small enough, but nothing of it can be packed.
        ("package", small + os.urandom(15_000_000 - len(small)), 8_000_000),
    ]:
        made = packaged(tmp_path / name, program)
        assert made.returncode == 1, (name, made)
        assert f"at most {most}" in made.stderr and "cargo bloat" in made.stderr and not made.stdout, (name, made)
