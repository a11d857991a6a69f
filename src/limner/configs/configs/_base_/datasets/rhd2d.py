"""Rendered Hand Pose: 21 keypoints of a hand."""

_WHITE = [255, 255, 255]
_ORANGE = [255, 128, 0]
_PINK = [255, 153, 255]
_SKY = [102, 178, 255]
_RED = [255, 51, 51]
_GREEN = [0, 255, 0]

# name, its mirror image (empty: itself), colour
_points = [
    ('wrist', '', _WHITE),
    ('thumb4', '', _ORANGE),
    ('thumb3', '', _ORANGE),
    ('thumb2', '', _ORANGE),
    ('thumb1', '', _ORANGE),
    ('forefinger4', '', _PINK),
    ('forefinger3', '', _PINK),
    ('forefinger2', '', _PINK),
    ('forefinger1', '', _PINK),
    ('middle_finger4', '', _SKY),
    ('middle_finger3', '', _SKY),
    ('middle_finger2', '', _SKY),
    ('middle_finger1', '', _SKY),
    ('ring_finger4', '', _RED),
    ('ring_finger3', '', _RED),
    ('ring_finger2', '', _RED),
    ('ring_finger1', '', _RED),
    ('pinky_finger4', '', _GREEN),
    ('pinky_finger3', '', _GREEN),
    ('pinky_finger2', '', _GREEN),
    ('pinky_finger1', '', _GREEN),
]
_links = [
    ('wrist', 'thumb1', _ORANGE),
    ('thumb1', 'thumb2', _ORANGE),
    ('thumb2', 'thumb3', _ORANGE),
    ('thumb3', 'thumb4', _ORANGE),
    ('wrist', 'forefinger1', _PINK),
    ('forefinger1', 'forefinger2', _PINK),
    ('forefinger2', 'forefinger3', _PINK),
    ('forefinger3', 'forefinger4', _PINK),
    ('wrist', 'middle_finger1', _SKY),
    ('middle_finger1', 'middle_finger2', _SKY),
    ('middle_finger2', 'middle_finger3', _SKY),
    ('middle_finger3', 'middle_finger4', _SKY),
    ('wrist', 'ring_finger1', _RED),
    ('ring_finger1', 'ring_finger2', _RED),
    ('ring_finger2', 'ring_finger3', _RED),
    ('ring_finger3', 'ring_finger4', _RED),
    ('wrist', 'pinky_finger1', _GREEN),
    ('pinky_finger1', 'pinky_finger2', _GREEN),
    ('pinky_finger2', 'pinky_finger3', _GREEN),
    ('pinky_finger3', 'pinky_finger4', _GREEN),
]

dataset_info = dict(
    dataset_name='rhd2d',
    keypoint_info={i: dict(name=n, id=i, color=c, swap=s) for i, (n, s, c) in enumerate(_points)},
    skeleton_info={i: dict(link=(a, b), id=i, color=c) for i, (a, b, c) in enumerate(_links)},
    sigmas=[])
