"""Where the MQTT packets lie in a stream of bytes (MQTT 3.1.1, 2.2.3)."""


def whole(data):
    """(its place, begin of its body, its end) of every packet of which all is there."""
    at = 0
    while True:
        length, shift, begin = 0, 0, at + 1
        while begin < len(data):
            byte = data[begin]
            length |= (byte & 0x7F) << shift
            shift, begin = shift + 7, begin + 1
            if byte < 0x80:
                break
        else:
            return
        if begin + length > len(data):
            return
        yield at, begin, begin + length
        at = begin + length
