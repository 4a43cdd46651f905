"""The files of a test machine, gathered in a directory and packed as an initramfs."""

import hashlib
import pathlib
import re
import shutil
import subprocess
import tempfile

from debian_archive import remove_tree, unpack

GUEST = pathlib.Path(__file__).parent / "guest"
# Parts of Debian's packages that no program in a test machine opens.
NOT_NEEDED = ("./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./usr/share/perl",
              "./usr/share/info", "./usr/share/lintian", "./usr/lib/x86_64-linux-gnu/gconv",
              "./usr/lib/x86_64-linux-gnu/perl-base")


class ImageError(Exception):
    """A file for the machine is missing; the text is one sentence for a person."""


class GuestImage:
    """Starts with busybox and the init script; everything else is added, then packed once.

    The directory belongs to the image and is emptied first.
    """

    def __init__(self, directory, busybox_deb):
        self.directory = directory
        self._bases = []
        remove_tree(directory)
        unpack([busybox_deb], directory)
        shutil.copy(GUEST / "init", directory / "init")
        (directory / "init").chmod(0o755)

    def add(self, source, target, strip=False):
        """Copies one file to an absolute path in the guest; debug information can stay behind."""
        if not pathlib.Path(source).exists():
            raise ImageError(f"{source} is missing: build it first")
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
        self.add(source, f"/test/bin/{source.name}", strip=True)
        listing = subprocess.run(["ldd", source], capture_output=True, text=True)
        for library in re.findall(r"(/\S+) \(0x", listing.stdout):
            if not (self.directory / library.lstrip("/")).exists():
                self.add(library, library)

    def add_debian(self, archive, names, cache):
        """Adds a root with these packages of a suite at /debian, to be entered with chroot.

        Packed once for each set of package versions and kept in the cache.
        """
        debs = archive.download_closure(names)
        mark = hashlib.sha256("\n".join(path.name for path in debs).encode()).hexdigest()[:16]
        packed = cache / "roots" / f"{archive.suite}-{mark}.cpio"
        if not packed.exists():
            self._pack_debian(debs, packed)
        self._bases.append(packed)

    def pack(self, path):
        """Writes the initramfs; the kernel reads archives that follow each other as one."""
        with open(path, "wb") as output:
            for base in self._bases:
                output.write(base.read_bytes())
            self._cpio(self.directory, output)

    def _pack_debian(self, debs, packed):
        packed.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=packed.parent) as scratch:
            root = pathlib.Path(scratch) / "debian"
            for name in ("bin", "sbin", "lib", "lib64"):
                (root / "usr" / name).mkdir(parents=True)
                (root / name).symlink_to(f"usr/{name}")
            for name in ("proc", "dev", "run", "tmp", "etc", "srv", "plan"):
                (root / name).mkdir()
            unpack(debs, root, without=NOT_NEEDED)
            partial = packed.with_suffix(".partial")
            with open(partial, "wb") as output:
                self._cpio(pathlib.Path(scratch), output)
            for older in packed.parent.glob(f"{packed.name.rpartition('-')[0]}-*.cpio"):
                older.unlink()
            partial.rename(packed)

    def _cpio(self, directory, output):
        """Every file below a directory, as root's."""
        names = subprocess.run(["find", ".", "-mindepth", "1"], cwd=directory, check=True,
                               capture_output=True).stdout
        subprocess.run(
            [self.directory / "bin" / "busybox", "cpio", "-o", "-H", "newc", "-R", "0:0"],
            cwd=directory, input=names, stdout=output, stderr=subprocess.DEVNULL, check=True)
