"""Values that say whose they are: device, tag and serial number of the answer, and a checksum over these.

A value that was damaged, mixed up with another tag's or never served can't pass for one that was.
"""

import zlib

TAG_BITS, SERIAL_BITS, CHECK_BITS = 6, 28, 24


def check(device, tag, serial):
    return zlib.crc32(b"%d/%d/%d" % (device, tag, serial)) >> (32 - CHECK_BITS)


def make(device, tag, serial):
    """64 bits, never zero."""
    return ((((device + 1) << TAG_BITS | tag) << SERIAL_BITS) | serial) << CHECK_BITS | check(device, tag, serial)


def take(value):
    """(device, tag, serial), or None if it is no value of ours."""
    if type(value) is not int or not 0 < value < 1 << 64:
        return None
    serial = value >> CHECK_BITS & (1 << SERIAL_BITS) - 1
    tag = value >> (CHECK_BITS + SERIAL_BITS) & (1 << TAG_BITS) - 1
    device = (value >> (CHECK_BITS + SERIAL_BITS + TAG_BITS)) - 1
    if device < 0 or make(device, tag, serial) != value:
        return None
    return device, tag, serial
