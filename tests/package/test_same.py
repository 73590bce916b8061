"""The same commit gives the same package, whoever makes it, where and when."""

import os
import shutil

from conftest import AMD64, ROOT, run

# What the program is does not matter to this.
PROGRAM = "/usr/bin/true"
LONG_AGO = 1_000_000_000


def packaged(root, built):
    """What `cross/package` makes there, as if `cross/build` had made the program."""
    program = built / AMD64 / "dist/fieldhold"
    program.parent.mkdir(parents=True)
    shutil.copyfile(PROGRAM, program)
    made = run(root / "cross/package", AMD64, env={**os.environ, "FIELDHOLD_BUILT": str(built)})
    return open(made.splitlines()[-1], "rb").read()


def test_another_folder_another_day_and_other_rights_give_the_same_package(tmp_path):
    """Of the same files, which look as if only their owner had ever seen them, and long ago."""
    other = tmp_path / "elsewhere"
    run("git", "clone", "--quiet", "--shared", "--no-checkout", ROOT, other)
    for name in run("git", "-C", ROOT, "ls-files").splitlines():
        file, copy = ROOT / name, other / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        copy.chmod(0o700 if os.access(file, os.X_OK) else 0o600)
        os.utime(copy, (LONG_AGO, LONG_AGO))
    (other / "target/cross").mkdir(parents=True)
    (other / "target/cross/tools").symlink_to(ROOT / "target/cross/tools")
    here = packaged(ROOT, tmp_path / "here")
    (tmp_path / "there").mkdir(mode=0o700)
    assert packaged(other, tmp_path / "there/further") == here, "diffoscope says what differs"
