"""The sizes that the streams inside AVIF and HEIC declare: a decoder makes room for those, not for the container's.

Layouts: AV1 bitstream specification, 5.3 to 5.5 (OBUs, sequence header); ITU-T H.265, 7.3 (sequence parameter set).
"""

from __future__ import annotations

Size = tuple[int, int]  # width, height
_SEQUENCE_HEADER = 1
_SEQUENCE_PARAMETERS = 33
_LOOKED_AT = 256  # bytes of a header, of which sequence headers have about a dozen


class _Bits:
    """Bits, the highest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("cut short")
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """An unsigned number in Exp-Golomb code."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)


def av1_size(data: bytes) -> Size:
    """Return the largest size of the frames of an AV1 stream by its sequence header; (0, 0) where it has none here."""
    at = 0
    data = data[:_LOOKED_AT]
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        length, shift = 0, 0
        while sized and at < len(data):
            length |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128:
                break
        if kind == _SEQUENCE_HEADER:
            return _av1_sequence(_Bits(data[at:]))
        if not sized:
            break
        at += length
    return 0, 0


def _av1_sequence(bits: _Bits) -> Size:
    bits.take(4)  # profile, still picture
    if bits.take(1):
        bits.take(5)
    else:
        _skip_operating_points(bits)
    wide, high = 1 + bits.take(4), 1 + bits.take(4)
    return 1 + bits.take(wide), 1 + bits.take(high)


def _skip_operating_points(bits: _Bits) -> None:
    delay = 0  # bits of a delay
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):
            bits.golomb()
        if bits.take(1):
            delay = 1 + bits.take(5)
            bits.take(42)
    display = bits.take(1)
    for _ in range(1 + bits.take(5)):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay and bits.take(1):
            bits.take(2 * delay + 1)
        if display and bits.take(1):
            bits.take(4)


def hevc_size(configuration: bytes) -> Size:
    """Return the largest size that the parameter sets in a property hvcC declare; (0, 0) where there are none."""
    largest = (0, 0)
    at = 23
    for _ in range(configuration[22]):
        kind, count = configuration[at] & 63, int.from_bytes(configuration[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            length = int.from_bytes(configuration[at : at + 2], "big")
            unit = configuration[at + 2 : at + 2 + length]
            at += 2 + length
            if kind == _SEQUENCE_PARAMETERS and len(unit) > 2:
                size = _hevc_sequence(_Bits(unit[2:_LOOKED_AT].replace(b"\0\0\3", b"\0\0")))
                largest = max(largest, size, key=lambda size: size[0] * size[1])
            if at >= len(configuration):
                return largest
    return largest


def _hevc_sequence(bits: _Bits) -> Size:
    bits.take(4)
    layers = bits.take(3)
    bits.take(1 + 96)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
    bits.golomb()
    if bits.golomb() == 3:
        bits.take(1)
    return bits.golomb(), bits.golomb()
