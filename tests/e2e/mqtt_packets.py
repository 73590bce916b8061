"""Where the MQTT packets lie in a stream of bytes (MQTT 3.1.1, 2.2.3)."""


def number(data, at):
    """A number of variable length and the place behind it; IndexError where it goes on."""
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at


def whole(data):
    """(its place, begin of its body, its end) of every packet of which all is there."""
    at = 0
    while True:
        try:
            length, begin = number(data, at + 1)
        except IndexError:
            return
        if begin + length > len(data):
            return
        yield at, begin, begin + length
        at = begin + length


def packets(buffer):
    """Takes whole packets off the buffer: (first byte, body)."""
    end = 0
    for at, begin, end in whole(buffer):
        yield buffer[at], bytes(buffer[begin:end])
    del buffer[:end]
