"""What a program says of itself in --help: its commands and their flags."""

import dataclasses
import re
import subprocess


@dataclasses.dataclass
class Flag:
    name: str  # --like-this
    short: str  # -x, or empty
    value: str  # HOST:PORT, or empty where it takes none
    help: str

    def words(self):
        """The words that its value may be, where help names them."""
        found = re.search(r"\(one of ([^;)]*)", self.help)
        return found.group(1).split(", ") if found else []


@dataclasses.dataclass
class Command:
    words: list  # of the command, without the program: [] or ["audit", "verify"]
    summary: str
    usage: str
    flags: list
    positionals: list  # (name, help)
    commands: list


def read(program, words=()):
    """Asks a program, and each of its commands below."""
    text = subprocess.run([program, *words, "--help"], check=True, capture_output=True,
                          text=True).stdout
    command = Command(words=list(words), summary="", usage="", flags=[], positionals=[], commands=[])
    section = ""
    children = []
    entry = None
    for line in text.splitlines():
        if not line.strip():
            entry = None
        elif re.fullmatch(r"[A-Z]\w*:", line):
            section = line[:-1]
        elif line.startswith("Usage: "):
            command.usage = line.removeprefix("Usage: ")
        elif not line.startswith(" "):
            section = ""
            if not command.summary and not command.usage:
                command.summary = line.rstrip(".")
        elif line.startswith("   ") and entry is not None:
            entry[1] = f"{entry[1]} {line.strip()}".strip()
        else:
            entry = list(re.fullmatch(r"  (\S.*?)(?:  +(.*))?", line).groups(default=""))
            {"Options": command.flags, "Subcommands": children,
             "Positionals": command.positionals}.get(section, []).append(entry)
    command.flags = [_flag(*each) for each in command.flags]
    command.positionals = [(name.split()[0], help_) for name, help_ in command.positionals]
    command.commands = [read(program, [*words, name.split()[0]]) for name, _ in children]
    return command


def _flag(names, help_):
    names, _, value = names.partition(" ")
    short = next((name for name in names.split(",") if not name.startswith("--")), "")
    return Flag(name=next(name for name in names.split(",") if name.startswith("--")), short=short,
                value=value.strip(), help=help_)


def all_commands(command):
    """The command and all below it, outer first."""
    yield command
    for child in command.commands:
        yield from all_commands(child)
