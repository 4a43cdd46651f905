#!/usr/bin/python3
"""Writes the seeds of fuzz_elf: tiny ELF files, honest ones and such that lie.

  tests/fuzz/make_elf_corpus.py DIRECTORY

Run it again, by hand, when the reader or the choice of sites learns something new.
"""

import pathlib
import struct
import sys

BASE = 0x400000  # virtual address of the file's first byte
CODE = 0x400  # offset of the code
PT_LOAD, PT_GNU_EH_FRAME = 1, 0x6474E550
SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_DYNSYM = 2, 3, 4, 11
JUMP_SLOT = 7

PUSH = bytes.fromhex("4157 c3")  # push r15; ret
FRAME = bytes.fromhex("4883ec18")  # sub rsp, 24
WIDEN = bytes.fromhex("85d2 7800 4889e1 4863d2")  # test edx, edx; js; mov rcx, rsp; movsxd rdx, edx
LEAVE = bytes.fromhex("4883c418 c3")  # add rsp, 24; ret


class Elf:
    """A file with one segment of code, a symbol table and what else is asked for."""

    def __init__(self):
        self.code = b""
        self.starts = []  # of functions, in the code
        self.symbols = []  # (name, offset in the code, size); no offset: undefined
        self.slots = []  # (offset in the file, name)
        self.segments = []  # further program headers, packed
        self.tables = SHT_DYNSYM
        self.tail = b""

    def add(self, name, code):
        at = len(self.code)
        self.starts.append(at)
        if name:
            self.symbols.append((name, at, len(code)))
        self.code += code + b"\xcc" * (-len(code) % 16)
        return at

    def to(self, opcode, before, target):
        """A call (e8) or jump (e9) to `target`, `before` bytes behind the next function's start."""
        return bytes([opcode]) + struct.pack("<i", target - (len(self.code) + before + 5))

    def section(self, kind, offset, size, link=0, entry=0):
        return struct.pack("<IIQQQQIIQQ", 0, kind, 0, 0, offset, size, link, 0, 8, entry)

    def pack(self, machine=62, sections=None, section_count=None, code_only=False):
        names, table = b"\0", struct.pack("<IBBHQQ", 0, 0, 0, 0, 0, 0)
        numbers = {}
        for name, at, size in self.symbols:
            numbers[name] = len(numbers) + 1
            defined = at is not None
            table += struct.pack("<IBBHQQ", len(names), 0x12, 0, 1 if defined else 0,
                                 BASE + CODE + at if defined else 0, size)
            names += name.encode() + b"\0"
        relocations = b"".join(
            struct.pack("<QQq", BASE + at, numbers[name] << 32 | JUMP_SLOT, 0)
            for at, name in self.slots)
        body, places = self.code, []
        for part in (table, names, relocations):
            body += b"\0" * (-len(body) % 8)
            places.append(CODE + len(body))
            body += part
        body += b"\0" * (-len(body) % 8) + self.tail
        if sections is None:
            sections = [self.section(0, 0, 0),
                        self.section(self.tables, places[0], len(table), 2, 24),
                        self.section(SHT_STRTAB, places[1], len(names)),
                        self.section(SHT_RELA, places[2], len(relocations), 1, 24)]
        end = CODE + len(self.code if code_only else body)
        segments = [struct.pack("<IIQQQQQQ", PT_LOAD, 5, 0, BASE, BASE, end, end, 4096)]
        segments += self.segments
        header = b"\x7fELF\x02\x01\x01" + b"\0" * 9 + struct.pack(
            "<HHIQQQIHHHHHH", 3, machine, 1, BASE + CODE, 64, CODE + len(body), 0, 64, 56,
            len(segments), 64, len(sections) if section_count is None else section_count, 0)
        head = header + b"".join(segments)
        return head + b"\0" * (CODE - len(head)) + body + b"".join(sections)


def twins(elf):
    """SSL_read, SSL_write and their twins over one function each, as in OpenSSL 3.0."""
    for name in ("SSL_read", "SSL_write"):
        inner = elf.add("", PUSH)
        head = FRAME + WIDEN
        elf.add(name, head + elf.to(0xE8, len(head), inner) + LEAVE)
        elf.add(name + "_ex", FRAME + elf.to(0xE8, len(FRAME), inner) + LEAVE)


def plain():
    elf = Elf()
    twins(elf)
    elf.add("SSL_new", bytes.fromhex("f30f1efa 55 4889e5 5d c3"))
    elf.add("SSL_clear", bytes.fromhex("4885ff 7405 31c0 90 c3"))
    elf.add("SSL_free", bytes.fromhex("4885ff 0f8400000000 53 5b c3"))
    elf.add("BIO_f_ssl", bytes.fromhex("488d0500000000 c3"))
    return elf


def through_stubs():
    """As in OpenSSL 3.5: one twin leaps to another through a stub of the linkage table."""
    elf = Elf()
    inner = elf.add("", PUSH)
    head = FRAME + bytes.fromhex("4989e0 31c9 4863d2")  # mov r8, rsp; xor ecx, ecx; movsxd
    elf.add("SSL_read", FRAME + WIDEN + elf.to(0xE8, len(FRAME + WIDEN), inner) + LEAVE)
    elf.add("SSL_write", head + elf.to(0xE8, len(head), inner) + LEAVE)
    elf.add("SSL_write_ex2", FRAME + elf.to(0xE8, len(FRAME), inner) + LEAVE)
    stub = elf.add("", bytes.fromhex("f30f1efa ff2500010000"))  # endbr64; jmp *256(rip)
    elf.slots.append((CODE + stub + 10 + 256, "SSL_write_ex2"))
    leap = bytes.fromhex("4989c8 31c9")  # mov r8, rcx; xor ecx, ecx
    elf.add("SSL_write_ex", leap + elf.to(0xE9, len(leap), stub))
    return elf


def loops():
    """Functions that never end, leap into each other, and into the middle of instructions."""
    elf = Elf()
    elf.add("SSL_read", b"\xeb\xfe")
    elf.add("SSL_write", elf.to(0xE9, 0, 32))
    elf.add("SSL_write_ex", elf.to(0xE9, 0, 16))
    elf.add("SSL_read_ex", bytes.fromhex("85d2") + b"\x78\xfd" * 40 + b"\xc3")
    elf.add("SSL_free", bytes.fromhex("ffe0"))  # jmp rax
    elf.add("SSL_clear", bytes.fromhex("ff2485 00000000"))  # jmp *table(,rax,4)
    return elf


def nonsense():
    """Bytes that are no instructions, sizes of 0 and sizes past the end."""
    elf = Elf()
    elf.add("SSL_read", b"\x06\x07\x0e\xff\xff\xff")
    elf.add("SSL_write", b"\xf0\xf0\xf0\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90")
    elf.symbols += [("SSL_free", 1, 0), ("SSL_clear", 0, 1 << 63), ("SSL_new", 1 << 40, 8),
                    ("SSL_read_ex", None, 0), ("SSL_write_ex", len(elf.code) - 1, 100)]
    return elf


def unwound(elf):
    """`elf` with the table that unwinders search; its addresses are relative to it."""
    head = struct.pack("<BBBBiI", 1, 0x1B, 0x03, 0x3B, 0, len(elf.starts))
    elf.tail = head + b"\xee" * 8 * len(elf.starts)
    at = elf.pack().rindex(elf.tail)
    elf.tail = head + b"".join(struct.pack("<ii", CODE + start - at, 0) for start in elf.starts)
    elf.segments.append(struct.pack("<IIQQQQQQ", PT_GNU_EH_FRAME, 4, at, BASE + at, BASE + at,
                                    len(elf.tail), len(elf.tail), 4))
    return elf


def lying_sections():
    """Sections that are huge, odd, elsewhere, or linked to themselves."""
    elf = plain()
    huge = 1 << 62
    return [elf.section(0, 0, huge), elf.section(SHT_DYNSYM, CODE, huge, 2, 24),
            elf.section(SHT_STRTAB, CODE, huge), elf.section(SHT_RELA, CODE, 4096, 1, 24),
            elf.section(SHT_SYMTAB, huge, 2400, 2, 24), elf.section(SHT_SYMTAB, CODE, 240, 5, 1),
            elf.section(SHT_SYMTAB, CODE, 240, 6, 0), elf.section(SHT_RELA, CODE, 240, 99, 24),
            elf.section(SHT_DYNSYM, 8, 1 << 32, 7, 24)]


def beside(lies):
    """The lies, and behind them the tables of plain(), so that something is found all the same."""
    whole = plain().pack()
    honest = [whole[at:at + 64] for at in range(len(whole) - 4 * 64, len(whole), 64)]
    symbols = bytearray(honest[1])
    symbols[40:44] = struct.pack("<I", len(lies) + 1)  # sh_link
    return [*lies, bytes(symbols), honest[2]]


def segments():
    """More segments of code than are kept; some overlap, some wrap around."""
    elf = plain()
    elf.segments = [struct.pack("<IIQQQQQQ", PT_LOAD, 5, offset, address, address, size, size, 16)
                    for offset, address, size in
                    [(CODE, BASE, 64), (0, 0, 1 << 63), (1 << 63, 0, 1 << 63), (CODE, 1 << 63, 8),
                     (CODE + 8, BASE + CODE, 0)] * 2]
    return elf


def edges():
    """Functions at the first and the last byte of the code, and just outside."""
    elf = Elf()
    elf.add("", b"\x55" * 16)
    elf.symbols += [("SSL_read", -CODE, 0), ("SSL_read_ex", -CODE + 1, 8),
                    ("SSL_write", 15, 1), ("SSL_write_ex", 15, 64), ("SSL_free", 16, 1),
                    ("SSL_clear", -CODE - 1, 1)]
    return elf


def static():
    elf = plain()
    elf.tables = SHT_SYMTAB
    return elf


def extended_numbering():
    """The number of sections is in the size of the first."""
    whole = bytearray(plain().pack(section_count=0))
    first = len(whole) - 4 * 64
    whole[first + 32:first + 40] = struct.pack("<Q", 4)
    return bytes(whole)


def main():
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    whole = plain().pack()
    seeds = {
        "plain": whole,
        "static": static().pack(),
        "stubs": through_stubs().pack(),
        "loops": loops().pack(),
        "nonsense": nonsense().pack(),
        "edges": edges().pack(code_only=True),
        "unwound": unwound(plain()).pack(),
        "unwound-stubs": unwound(through_stubs()).pack(),
        "unwound-loops": unwound(loops()).pack(),
        "unwound-nonsense": unwound(nonsense()).pack(),
        "segments": segments().pack(),
        "lying-sections": plain().pack(sections=beside(lying_sections())),
        "many-sections": plain().pack(section_count=0xFEFF),
        "extended-numbering": extended_numbering(),
        "no-sections": plain().pack(sections=[]),
        "cut-in-sections": whole[:-100],
        "cut-in-code": whole[:CODE + 100],
        "cut-in-header": whole[:40],
        "other-machine": plain().pack(machine=183),
        "32-bit": whole[:4] + b"\x01" + whole[5:],
        "big-endian": whole[:5] + b"\x02" + whole[6:],
        "empty": b"",
    }
    for name, data in seeds.items():
        (directory / name).write_bytes(data)


if __name__ == "__main__":
    main()
