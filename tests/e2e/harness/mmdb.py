"""Small country databases in the MaxMind DB format, version 2.0, for a collector under test."""

import ipaddress


def write(path, countries):
    """Writes a database of {"198.51.100.0/24": "DE", "2001:db8::/32": "NL"}; no network may be
    inside of another one. IPv4 is below ::/96, as MaxMind has it."""
    nodes = [[None, None]]  # each half: None, a node's number, or ("value", offset)
    values = b""
    for name, country in countries.items():
        network = ipaddress.ip_network(name)
        bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
        if network.version == 4:
            bits = "0" * 96 + bits
        node = 0
        for bit in bits[:-1]:
            half = int(bit)
            if nodes[node][half] is None:
                nodes[node][half] = len(nodes)
                nodes.append([None, None])
            node = nodes[node][half]
        nodes[node][int(bits[-1])] = ("value", len(values))
        values += _map({"country": _map({"iso_code": _text(country)})})

    def record(half):
        if half is None:
            number = len(nodes)
        elif isinstance(half, tuple):
            number = len(nodes) + 16 + half[1]
        else:
            number = half
        return number.to_bytes(3, "big")

    metadata = {
        "node_count": _number(6, len(nodes)),
        "record_size": _number(5, 24),
        "ip_version": _number(5, 6),
        "database_type": _text("GeoLite2-Country"),
        "languages": b"\x01\x04" + _text("en"),
        "binary_format_major_version": _number(5, 2),
        "binary_format_minor_version": _number(5, 0),
        "build_epoch": _number(9, 1_772_409_600),
        "description": _map({"en": _text("made for a test")}),
    }
    with open(path, "wb") as file:
        for left, right in nodes:
            file.write(record(left) + record(right))
        file.write(bytes(16) + values + b"\xab\xcd\xefMaxMind.com" + _map(metadata))


def _control(kind, size):
    """The byte before a value, with its type and size; types above 7 are in a second one."""
    if size >= 29:
        raise ValueError("a value that is too long for a small database")
    return bytes([kind << 5 | size]) if kind <= 7 else bytes([size, kind - 7])


def _text(text):
    return _control(2, len(text.encode())) + text.encode()


def _number(kind, number):
    """5: 16 bits, 6: 32, 9: 64."""
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return _control(kind, len(data)) + data


def _map(members):
    return _control(7, len(members)) + b"".join(
        _text(name) + value for name, value in members.items())
