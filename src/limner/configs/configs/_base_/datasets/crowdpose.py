"""CrowdPose: 14 keypoints of a person."""

_BLUE = [51, 153, 255]
_GREEN = [0, 255, 0]
_ORANGE = [255, 128, 0]

# name, its mirror image (empty: itself), colour
_points = [
    ('left_shoulder', 'right_shoulder', _BLUE),
    ('right_shoulder', 'left_shoulder', _BLUE),
    ('left_elbow', 'right_elbow', _BLUE),
    ('right_elbow', 'left_elbow', _BLUE),
    ('left_wrist', 'right_wrist', _BLUE),
    ('right_wrist', 'left_wrist', _GREEN),
    ('left_hip', 'right_hip', _ORANGE),
    ('right_hip', 'left_hip', _GREEN),
    ('left_knee', 'right_knee', _ORANGE),
    ('right_knee', 'left_knee', _GREEN),
    ('left_ankle', 'right_ankle', _ORANGE),
    ('right_ankle', 'left_ankle', _GREEN),
    ('top_head', '', _ORANGE),
    ('neck', '', _GREEN),
]
_links = [
    ('left_ankle', 'left_knee', _GREEN),
    ('left_knee', 'left_hip', _GREEN),
    ('right_ankle', 'right_knee', _ORANGE),
    ('right_knee', 'right_hip', _ORANGE),
    ('left_hip', 'right_hip', _BLUE),
    ('left_shoulder', 'left_hip', _BLUE),
    ('right_shoulder', 'right_hip', _BLUE),
    ('left_shoulder', 'right_shoulder', _BLUE),
    ('left_shoulder', 'left_elbow', _GREEN),
    ('right_shoulder', 'right_elbow', _ORANGE),
    ('left_elbow', 'left_wrist', _GREEN),
    ('right_elbow', 'right_wrist', _ORANGE),
    ('top_head', 'neck', _BLUE),
    ('right_shoulder', 'neck', _BLUE),
    ('left_shoulder', 'neck', _BLUE),
]

dataset_info = dict(
    dataset_name='crowdpose',
    keypoint_info={i: dict(name=n, id=i, color=c, swap=s) for i, (n, s, c) in enumerate(_points)},
    skeleton_info={i: dict(link=(a, b), id=i, color=c) for i, (a, b, c) in enumerate(_links)},
    sigmas=[
        0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079,
    ])
