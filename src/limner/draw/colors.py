"""Colours as users name them, and the palettes of people and of the parts of a body."""

from __future__ import annotations

import re
from functools import cache

from ..errors import ArgumentError, said, suggest

Color = tuple[int, int, int]  # BGR
Rgba = tuple[int, int, int, int]

BY_ID, BY_PART = "by-id", "by-part"

# BGR, one per track id in turn: of the labels
TRACK_COLORS: tuple[Color, ...] = (
    *((96, 196, 64), (28, 159, 255), (255, 156, 86), (146, 98, 240), (255, 130, 171), (200, 200, 0)),
)
# BGR, one per person in turn: neighbours differ, and all can be seen on black and on white
_ID_COLORS: tuple[Color, ...] = (
    *(*TRACK_COLORS, (60, 60, 235), (90, 190, 235), (200, 60, 200), (60, 140, 110), (150, 90, 40), (120, 150, 255)),
)
_PART_COLORS: dict[str, Color] = {
    "body": (239, 141, 91),
    "left_hand": (113, 191, 47),
    "right_hand": (30, 132, 255),
    "hand": (113, 191, 47),
    "face": (143, 80, 255),
}
_UNKNOWN_COLOR = (170, 170, 170)  # of somebody without track id yet

# the named colours of CSS Color Module Level 4
_CSS = """
    aliceblue=f0f8ff antiquewhite=faebd7 aqua=00ffff aquamarine=7fffd4 azure=f0ffff beige=f5f5dc bisque=ffe4c4
    black=000000 blanchedalmond=ffebcd blue=0000ff blueviolet=8a2be2 brown=a52a2a burlywood=deb887 cadetblue=5f9ea0
    chartreuse=7fff00 chocolate=d2691e coral=ff7f50 cornflowerblue=6495ed cornsilk=fff8dc crimson=dc143c cyan=00ffff
    darkblue=00008b darkcyan=008b8b darkgoldenrod=b8860b darkgray=a9a9a9 darkgreen=006400 darkgrey=a9a9a9
    darkkhaki=bdb76b darkmagenta=8b008b darkolivegreen=556b2f darkorange=ff8c00 darkorchid=9932cc darkred=8b0000
    darksalmon=e9967a darkseagreen=8fbc8f darkslateblue=483d8b darkslategray=2f4f4f darkslategrey=2f4f4f
    darkturquoise=00ced1 darkviolet=9400d3 deeppink=ff1493 deepskyblue=00bfff dimgray=696969 dimgrey=696969
    dodgerblue=1e90ff firebrick=b22222 floralwhite=fffaf0 forestgreen=228b22 fuchsia=ff00ff gainsboro=dcdcdc
    ghostwhite=f8f8ff gold=ffd700 goldenrod=daa520 gray=808080 green=008000 greenyellow=adff2f grey=808080
    honeydew=f0fff0 hotpink=ff69b4 indianred=cd5c5c indigo=4b0082 ivory=fffff0 khaki=f0e68c lavender=e6e6fa
    lavenderblush=fff0f5 lawngreen=7cfc00 lemonchiffon=fffacd lightblue=add8e6 lightcoral=f08080 lightcyan=e0ffff
    lightgoldenrodyellow=fafad2 lightgray=d3d3d3 lightgreen=90ee90 lightgrey=d3d3d3 lightpink=ffb6c1
    lightsalmon=ffa07a lightseagreen=20b2aa lightskyblue=87cefa lightslategray=778899 lightslategrey=778899
    lightsteelblue=b0c4de lightyellow=ffffe0 lime=00ff00 limegreen=32cd32 linen=faf0e6 magenta=ff00ff maroon=800000
    mediumaquamarine=66cdaa mediumblue=0000cd mediumorchid=ba55d3 mediumpurple=9370db mediumseagreen=3cb371
    mediumslateblue=7b68ee mediumspringgreen=00fa9a mediumturquoise=48d1cc mediumvioletred=c71585
    midnightblue=191970 mintcream=f5fffa mistyrose=ffe4e1 moccasin=ffe4b5 navajowhite=ffdead navy=000080
    oldlace=fdf5e6 olive=808000 olivedrab=6b8e23 orange=ffa500 orangered=ff4500 orchid=da70d6 palegoldenrod=eee8aa
    palegreen=98fb98 paleturquoise=afeeee palevioletred=db7093 papayawhip=ffefd5 peachpuff=ffdab9 peru=cd853f
    pink=ffc0cb plum=dda0dd powderblue=b0e0e6 purple=800080 rebeccapurple=663399 red=ff0000 rosybrown=bc8f8f
    royalblue=4169e1 saddlebrown=8b4513 salmon=fa8072 sandybrown=f4a460 seagreen=2e8b57 seashell=fff5ee
    sienna=a0522d silver=c0c0c0 skyblue=87ceeb slateblue=6a5acd slategray=708090 slategrey=708090 snow=fffafa
    springgreen=00ff7f steelblue=4682b4 tan=d2b48c teal=008080 thistle=d8bfd8 tomato=ff6347 turquoise=40e0d0
    violet=ee82ee wheat=f5deb3 white=ffffff whitesmoke=f5f5f5 yellow=ffff00 yellowgreen=9acd32
"""

_NOTHING = {"none": "transparent", "clear": "transparent", "off": "transparent"}  # where there is such a word

_CODE = re.compile(r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})|[0-9a-f]{6}|[0-9a-f]{8}")


@cache
def named() -> dict[str, str]:
    """Return the hexadecimal code of each named colour."""
    return dict(item.split("=") for item in _CSS.split())


def parse(text: str, what: str, others: tuple[str, ...] = ()) -> Rgba:
    """Return a colour's red, green, blue and opacity, 0..255.

    Args:
        text: a name of CSS, or #rgb, #rgba, #rrggbb, #rrggbbaa; a # before six or eight digits may be left out,
            as shells take it for a comment.
        what: what the colour is of, for the error.
        others: words that mean something else there, for the error.

    Raises:
        ArgumentError: no such colour.
    """
    key = text.strip().lower() if isinstance(text, str) else ""
    code = named().get(key, key)
    if not _CODE.fullmatch(code):
        words = ", ".join([*others, "a colour's name or #rrggbb"])
        similar = suggest(_NOTHING.get(key, key), [*others, *named()], 0.65)
        raise ArgumentError(f"{what} is {said(text)} where {words} is needed.{similar}")
    digits = code.lstrip("#")
    if len(digits) < 6:
        digits = "".join(2 * digit for digit in digits)
    red, green, blue, opacity = bytes.fromhex(digits.ljust(8, "f"))
    return red, green, blue, opacity


def of_person(number: int) -> Color:
    """Return the colour of a track id, or of the number of an instance; below 0 of somebody who has none yet."""
    return _ID_COLORS[number % len(_ID_COLORS)] if number >= 0 else _UNKNOWN_COLOR


def of_part(name: str) -> Color:
    """Return the colour of a part: "body", "face", "left_hand", ..."""
    return _PART_COLORS.get(name, _PART_COLORS["body"])
