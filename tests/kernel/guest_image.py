"""The files of a test machine, gathered in a directory and packed as an initramfs."""

import pathlib
import re
import shutil
import subprocess

from debian_archive import remove_tree, unpack

GUEST = pathlib.Path(__file__).parent / "guest"


class ImageError(Exception):
    """A file for the machine is missing; the text is one sentence for a person."""


class GuestImage:
    """Starts with busybox and the init script; everything else is added, then packed once.

    The directory belongs to the image and is emptied first.
    """

    def __init__(self, directory, busybox_deb):
        self.directory = directory
        remove_tree(directory)
        unpack([busybox_deb], directory)
        shutil.copy(GUEST / "init", directory / "init")
        (directory / "init").chmod(0o755)

    def add(self, source, target, strip=False):
        """Copies one file to an absolute path in the guest; debug information can stay behind."""
        path = self.directory / target.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)
        if strip:
            subprocess.run(["strip", "--strip-debug", path], check=True)

    def add_text(self, text, target):
        path = self.directory / target.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def add_program(self, source):
        """Copies a program of this machine to /test/bin, its shared libraries to their own paths."""
        source = pathlib.Path(source)
        if not source.exists():
            raise ImageError(f"{source} is missing: build it first")
        self.add(source, f"/test/bin/{source.name}", strip=True)
        listing = subprocess.run(["ldd", source], capture_output=True, text=True)
        for library in re.findall(r"(/\S+) \(0x", listing.stdout):
            if not (self.directory / library.lstrip("/")).exists():
                self.add(library, library)

    def add_root(self, debs, target):
        """Unpacks packages as a root of their own, to be entered with chroot."""
        unpack(debs, self.directory / target.lstrip("/"))

    def pack(self, path):
        """Writes the initramfs; every file in it belongs to root."""
        names = subprocess.run(["find", ".", "-mindepth", "1"], cwd=self.directory, check=True,
                               capture_output=True).stdout
        with open(path, "wb") as output:
            subprocess.run(
                [self.directory / "bin" / "busybox", "cpio", "-o", "-H", "newc", "-R", "0:0"],
                cwd=self.directory, input=names, stdout=output, stderr=subprocess.DEVNULL,
                check=True)
