"""MPII: 16 keypoints of a person."""

_ORANGE = [255, 128, 0]
_GREEN = [0, 255, 0]
_BLUE = [51, 153, 255]

# name, its mirror image (empty: itself), colour
_points = [
    ('right_ankle', 'left_ankle', _ORANGE),
    ('right_knee', 'left_knee', _ORANGE),
    ('right_hip', 'left_hip', _ORANGE),
    ('left_hip', 'right_hip', _GREEN),
    ('left_knee', 'right_knee', _GREEN),
    ('left_ankle', 'right_ankle', _GREEN),
    ('pelvis', '', _BLUE),
    ('thorax', '', _BLUE),
    ('upper_neck', '', _BLUE),
    ('head_top', '', _BLUE),
    ('right_wrist', 'left_wrist', _ORANGE),
    ('right_elbow', 'left_elbow', _ORANGE),
    ('right_shoulder', 'left_shoulder', _ORANGE),
    ('left_shoulder', 'right_shoulder', _GREEN),
    ('left_elbow', 'right_elbow', _GREEN),
    ('left_wrist', 'right_wrist', _GREEN),
]
_links = [
    ('right_ankle', 'right_knee', _ORANGE),
    ('right_knee', 'right_hip', _ORANGE),
    ('right_hip', 'pelvis', _ORANGE),
    ('pelvis', 'left_hip', _GREEN),
    ('left_hip', 'left_knee', _GREEN),
    ('left_knee', 'left_ankle', _GREEN),
    ('pelvis', 'thorax', _BLUE),
    ('thorax', 'upper_neck', _BLUE),
    ('upper_neck', 'head_top', _BLUE),
    ('upper_neck', 'right_shoulder', _ORANGE),
    ('right_shoulder', 'right_elbow', _ORANGE),
    ('right_elbow', 'right_wrist', _ORANGE),
    ('upper_neck', 'left_shoulder', _GREEN),
    ('left_shoulder', 'left_elbow', _GREEN),
    ('left_elbow', 'left_wrist', _GREEN),
]

dataset_info = dict(
    dataset_name='mpii',
    keypoint_info={i: dict(name=n, id=i, color=c, swap=s) for i, (n, s, c) in enumerate(_points)},
    skeleton_info={i: dict(link=(a, b), id=i, color=c) for i, (a, b, c) in enumerate(_links)},
    sigmas=[
        0.089, 0.083, 0.107, 0.107, 0.083, 0.089, 0.026, 0.026, 0.026, 0.026, 0.062, 0.072, 0.179, 0.179,
        0.072, 0.062,
    ])
