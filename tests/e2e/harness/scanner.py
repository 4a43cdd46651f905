"""Finds any 12 consecutive bytes of known secrets in anything: files, memory, kernel maps.

A secret is looked for plain, in hexadecimal, percent-encoded, in base64 at its three alignments and
in HPACK's Huffman code at its eight. The search itself is grep's: a fixed-string matcher that takes
100,000 patterns.
"""

import base64
import os
import subprocess
import threading

from .world import Failure, check

WINDOW = 12

# RFC 7541, appendix B, for the characters that tokens are made of; the code is canonical.
_HUFFMAN_LENGTHS = {5: "012aceiost", 6: " %-./3456789=A_bdfghlmnpru",
                    7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz", 8: "&*,;XZ"}


def _huffman_codes():
    codes, code, previous = {}, 0, 5
    for length, characters in _HUFFMAN_LENGTHS.items():
        code <<= length - previous
        for character in characters:
            codes[ord(character)] = format(code, f"0{length}b")
            code += 1
        previous = length
    return codes


_HUFFMAN = _huffman_codes()


def huffman(text, shift=0, pad="1"):
    """`text` in HPACK's code, begun `shift` bits into a byte; only whole bytes where pad is ""."""
    bits = "".join(_HUFFMAN[byte] for byte in text)
    if pad:
        bits = "0" * shift + bits + pad * (-(shift + len(bits)) % 8)
    else:
        bits = bits[-shift % 8:]
        bits = bits[:len(bits) // 8 * 8]
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")


assert huffman(b"www.example.com").hex() == "f1e3c2e5f23a6ba0ab90f4ff"


def _base64(window, alignment):
    """The characters that `window` alone determines, `alignment` bytes after a multiple of 3."""
    text = base64.b64encode(b"\0" * alignment + window)
    first = (alignment * 8 + 5) // 6
    last = (alignment + len(window)) * 8 // 6
    return text[first:last]


def patterns_of(secret):
    """{pattern: encoding} of every window of `secret`."""
    found = {}
    for start in range(len(secret) - WINDOW + 1):
        window = secret[start:start + WINDOW]
        found[window] = "plain"
        found[window.hex().encode()] = "hexadecimal"
        found[window.hex().upper().encode()] = "hexadecimal"
        percent = "".join(f"%{byte:02x}" for byte in window)
        found[percent.encode()] = "percent-encoded"
        found[percent.upper().encode()] = "percent-encoded"
        for alignment in range(3):
            text = _base64(window, alignment)
            found[text] = "base64"
            found[text.translate(bytes.maketrans(b"+/", b"-_"))] = "base64"
        if all(byte in _HUFFMAN for byte in window):
            for shift in range(8):
                found[huffman(window, shift, pad="")] = "HPACK-Huffman"
    # grep reads one pattern a line. Windows overlap, so one that is left out has neighbours.
    return {pattern: encoding for pattern, encoding in found.items()
            if b"\n" not in pattern and b"\0" not in pattern}


def is_searchable(window):
    """Whether no pattern of a lone window had to be left out."""
    return not any(b"\n" in one or b"\0" in one
                   for one in (huffman(window, shift, pad="") for shift in range(8)))


class Scanner:
    def __init__(self, world, secrets):
        self._patterns = {}
        for secret in secrets:
            self._patterns |= patterns_of(secret)
        self._file = world.path("canary.patterns")
        with open(self._file, "wb") as file:
            file.write(b"\n".join(self._patterns))
        self.bytes = 0
        self.sources = 0

    def close(self):
        os.unlink(self._file)

    def find(self, chunks):
        """{encoding: number of hits} in `chunks`, bytes that follow each other."""
        grep = subprocess.Popen(["/usr/bin/grep", "-a", "-o", "-F", "-f", self._file],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                env={"LC_ALL": "C"})
        try:
            feeder = threading.Thread(target=self._feed, args=(grep.stdin, chunks))
            feeder.start()
            output = grep.stdout.read()
            feeder.join()
        finally:
            status = grep.wait()
        check(status in (0, 1), f"grep ended with status {status}")
        hits = {}
        for line in output.split(b"\n")[:-1]:
            encoding = self._patterns.get(line, "unknown")
            hits[encoding] = hits.get(encoding, 0) + 1
        self.sources += 1
        return hits

    def _feed(self, pipe, chunks):
        with pipe:
            for chunk in chunks:
                self.bytes += len(chunk)
                pipe.write(chunk)

    def require_clean(self, name, chunks):
        hits = self.find(chunks)
        if hits:
            raise Failure(f"{name} holds parts of tokens: {hits}")


def file_chunks(path):
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def folder_files(folder):
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            if os.path.isfile(path):
                yield path


def memory_chunks(pid):
    """Everything that a process can read of itself."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            fields = line.split()
            name = fields[5] if len(fields) > 5 else ""
            if "r" not in fields[1] or name in ("[vvar]", "[vvar_vclock]", "[vsyscall]"):
                continue
            start, end = (int(text, 16) for text in fields[0].split("-"))
            memory.seek(start)
            while start < end:
                try:
                    chunk = memory.read(min(end - start, 1 << 22))
                except OSError:
                    break  # pages behind the end of a mapped file
                if not chunk:
                    break
                start += len(chunk)
                yield chunk
            yield b"\0" * WINDOW  # what lies apart must not read as one
