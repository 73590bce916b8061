"""Reads sparkplug_b.proto from bytes, by nothing but the wire format: what is there is seen, in its wire type.

A message is a dict of field name to value; what is absent is absent, so presence can be judged.
"""

import struct

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

PROPERTY_VALUE = {
    1: ("type", VARINT),
    2: ("is_null", VARINT),
    3: ("int_value", VARINT),
    4: ("long_value", VARINT),
    5: ("float_value", FIXED32),
    6: ("double_value", FIXED64),
    7: ("boolean_value", VARINT),
    8: ("string_value", BYTES),
    9: ("propertyset_value", BYTES),
    10: ("propertysets_value", BYTES),
}
PROPERTY_SET = {1: ("keys", BYTES), 2: ("values", PROPERTY_VALUE)}
METRIC = {
    1: ("name", BYTES),
    2: ("alias", VARINT),
    3: ("timestamp", VARINT),
    4: ("datatype", VARINT),
    5: ("is_historical", VARINT),
    6: ("is_transient", VARINT),
    7: ("is_null", VARINT),
    8: ("metadata", BYTES),
    9: ("properties", PROPERTY_SET),
    10: ("int_value", VARINT),
    11: ("long_value", VARINT),
    12: ("float_value", FIXED32),
    13: ("double_value", FIXED64),
    14: ("boolean_value", VARINT),
    15: ("string_value", BYTES),
    16: ("bytes_value", BYTES),
    17: ("dataset_value", BYTES),
    18: ("template_value", BYTES),
    19: ("extension_value", BYTES),
}
PAYLOAD = {
    1: ("timestamp", VARINT),
    2: ("metrics", METRIC),
    3: ("seq", VARINT),
    4: ("uuid", BYTES),
    5: ("body", BYTES),
}
REPEATED = {"metrics", "keys", "values"}
TEXTS = {"name", "string_value", "keys", "uuid"}
VALUES = [name for name, _ in METRIC.values() if name.endswith("_value")]


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than 64 bits")


def read(data, shape=None):
    """The message in `data`; raises ValueError for what is none."""
    shape = shape or PAYLOAD
    message, at = {}, 0
    try:
        while at < len(data):
            key, at = varint(data, at)
            number, wire = key >> 3, key & 7
            if wire == VARINT:
                value, at = varint(data, at)
            elif wire == BYTES:
                length, at = varint(data, at)
                value = bytes(data[at : at + length])
                if len(value) < length:
                    raise ValueError("cut off")
                at += length
            elif wire in (FIXED64, FIXED32):
                width = 8 if wire == FIXED64 else 4
                (value,) = struct.unpack("<d" if wire == FIXED64 else "<f", data[at : at + width])
                at += width
            else:
                raise ValueError(f"wire type {wire}")
            if number not in shape:
                raise ValueError(f"field {number} is none of {[n for n, _ in shape.values()]}")
            name, kind = shape[number]
            if (BYTES if isinstance(kind, dict) else kind) != wire:
                raise ValueError(f"{name} has wire type {wire}")
            if isinstance(kind, dict):
                value = read(value, kind)
            elif name in TEXTS:
                value = value.decode()
            if name in REPEATED:
                message.setdefault(name, []).append(value)
            else:
                message[name] = value
    except (IndexError, struct.error) as error:
        raise ValueError(str(error)) from error
    return message


def write(message, shape=None):
    """The bytes of a message, for tests that break one."""
    shape, out = shape or PAYLOAD, b""
    for number, (name, kind) in shape.items():
        if name not in message:
            continue
        values = message[name] if name in REPEATED else [message[name]]
        for value in values:
            wire = BYTES if isinstance(kind, dict) else kind
            out += _varint(number << 3 | wire)
            if wire == VARINT:
                out += _varint(int(value))
            elif wire == BYTES:
                if isinstance(kind, dict):
                    value = write(value, kind)
                elif isinstance(value, str):
                    value = value.encode()
                out += _varint(len(value)) + value
            else:
                out += struct.pack("<d" if wire == FIXED64 else "<f", value)
    return out


def _varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def value_of(metric):
    """The field that holds the value, and the value as a number of its type; (None, None) for none."""
    for name in VALUES:
        if name in metric:
            value = metric[name]
            if name == "long_value" and metric.get("datatype", 4) == 4 and value >= 1 << 63:
                value -= 1 << 64
            return name, bool(value) if name == "boolean_value" else value
    return None, None
