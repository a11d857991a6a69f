"""AI Challenger: 14 keypoints of a person."""

_ORANGE = [255, 128, 0]
_GREEN = [0, 255, 0]
_BLUE = [51, 153, 255]

# name, its mirror image (empty: itself), colour
_points = [
    ('right_shoulder', 'left_shoulder', _ORANGE),
    ('right_elbow', 'left_elbow', _ORANGE),
    ('right_wrist', 'left_wrist', _ORANGE),
    ('left_shoulder', 'right_shoulder', _GREEN),
    ('left_elbow', 'right_elbow', _GREEN),
    ('left_wrist', 'right_wrist', _GREEN),
    ('right_hip', 'left_hip', _ORANGE),
    ('right_knee', 'left_knee', _ORANGE),
    ('right_ankle', 'left_ankle', _ORANGE),
    ('left_hip', 'right_hip', _GREEN),
    ('left_knee', 'right_knee', _GREEN),
    ('left_ankle', 'right_ankle', _GREEN),
    ('head_top', '', _BLUE),
    ('neck', '', _BLUE),
]
_links = [
    ('right_wrist', 'right_elbow', _ORANGE),
    ('right_elbow', 'right_shoulder', _ORANGE),
    ('right_shoulder', 'neck', _BLUE),
    ('neck', 'left_shoulder', _BLUE),
    ('left_shoulder', 'left_elbow', _GREEN),
    ('left_elbow', 'left_wrist', _GREEN),
    ('right_ankle', 'right_knee', _ORANGE),
    ('right_knee', 'right_hip', _ORANGE),
    ('right_hip', 'left_hip', _BLUE),
    ('left_hip', 'left_knee', _GREEN),
    ('left_knee', 'left_ankle', _GREEN),
    ('head_top', 'neck', _BLUE),
    ('right_shoulder', 'right_hip', _BLUE),
    ('left_shoulder', 'left_hip', _BLUE),
]

dataset_info = dict(
    dataset_name='aic',
    keypoint_info={i: dict(name=n, id=i, color=c, swap=s) for i, (n, s, c) in enumerate(_points)},
    skeleton_info={i: dict(link=(a, b), id=i, color=c) for i, (a, b, c) in enumerate(_links)},
    sigmas=[
        0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642, 0.03686941,
        0.01981803, 0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
    ])
