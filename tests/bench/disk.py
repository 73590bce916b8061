"""A disk of its own for what a subject keeps: an ext4 on a loop device, whose own counter says what was written.

A process's `write_bytes` would not do: kernels with large folios count the whole of one, 64 KB and more, when a page
of it is changed.
"""

import contextlib
import pathlib
import subprocess

SIZE = 512 << 20
SECTOR = 512


class Disk:
    def __init__(self, directory, device):
        self.directory, self.statistics = directory, pathlib.Path("/sys/class/block") / device / "stat"

    def written(self):
        """Bytes until now, with all that waits to be written."""
        subprocess.run(["sync", "-f", self.directory], check=True)
        return SECTOR * int(self.statistics.read_text().split()[6])


@contextlib.contextmanager
def disk(directory):
    directory.mkdir(parents=True)
    image = directory.with_suffix(".ext4")
    with open(image, "wb") as file:
        file.truncate(SIZE)
    # All of its tables at once, which would else be written in the background later.
    lazy = "lazy_itable_init=0,lazy_journal_init=0"
    subprocess.run(["mkfs.ext4", "-q", "-E", lazy, image], check=True)
    found = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True)
    device = found.stdout.strip()
    try:
        subprocess.run(["mount", device, directory], check=True)
        try:
            yield Disk(directory, pathlib.Path(device).name)
        finally:
            subprocess.run(["umount", "-l", directory], check=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
        image.unlink()
