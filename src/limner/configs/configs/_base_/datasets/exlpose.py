"""ExLPose: 14 keypoints of a person in the dark."""

_GREEN = [0, 255, 0]
_ORANGE = [255, 128, 0]
_BLUE = [51, 153, 255]

# name, its mirror image (empty: itself), colour
_points = [
    ('left_shoulder', 'right_shoulder', _GREEN),
    ('right_shoulder', 'left_shoulder', _ORANGE),
    ('left_elbow', 'right_elbow', _GREEN),
    ('right_elbow', 'left_elbow', _ORANGE),
    ('left_wrist', 'right_wrist', _GREEN),
    ('right_wrist', 'left_wrist', _ORANGE),
    ('left_hip', 'right_hip', _GREEN),
    ('right_hip', 'left_hip', _ORANGE),
    ('left_knee', 'right_knee', _GREEN),
    ('right_knee', 'left_knee', _ORANGE),
    ('left_ankle', 'right_ankle', _GREEN),
    ('right_ankle', 'left_ankle', _ORANGE),
    ('head', '', _BLUE),
    ('neck', '', _BLUE),
]
_links = [
    ('head', 'neck', _BLUE),
    ('neck', 'left_shoulder', _BLUE),
    ('neck', 'right_shoulder', _BLUE),
    ('left_shoulder', 'left_elbow', _GREEN),
    ('left_elbow', 'left_wrist', _GREEN),
    ('right_shoulder', 'right_elbow', _ORANGE),
    ('right_elbow', 'right_wrist', _ORANGE),
    ('neck', 'right_hip', _BLUE),
    ('neck', 'left_hip', _BLUE),
    ('right_hip', 'right_knee', _ORANGE),
    ('right_knee', 'right_ankle', _ORANGE),
    ('left_hip', 'left_knee', _GREEN),
    ('left_knee', 'left_ankle', _GREEN),
]

dataset_info = dict(
    dataset_name='exlpose',
    keypoint_info={i: dict(name=n, id=i, color=c, swap=s) for i, (n, s, c) in enumerate(_points)},
    skeleton_info={i: dict(link=(a, b), id=i, color=c) for i, (a, b, c) in enumerate(_links)},
    sigmas=[
        0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079,
    ])
