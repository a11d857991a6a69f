"""PoseTrack18: 17 keypoints of a person."""

_BLUE = [51, 153, 255]
_GREEN = [0, 255, 0]
_ORANGE = [255, 128, 0]

# name, its mirror image (empty: itself), colour
_points = [
    ('nose', '', _BLUE),
    ('head_bottom', '', _BLUE),
    ('head_top', '', _BLUE),
    ('left_ear', 'right_ear', _BLUE),
    ('right_ear', 'left_ear', _BLUE),
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
    ('nose', 'head_bottom', _BLUE),
    ('nose', 'head_top', _BLUE),
    ('head_bottom', 'left_shoulder', _BLUE),
    ('head_bottom', 'right_shoulder', _BLUE),
]

dataset_info = dict(
    dataset_name='posetrack18',
    keypoint_info={i: dict(name=n, id=i, color=c, swap=s) for i, (n, s, c) in enumerate(_points)},
    skeleton_info={i: dict(link=(a, b), id=i, color=c) for i, (a, b, c) in enumerate(_links)},
    sigmas=[
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087,
        0.087, 0.089, 0.089,
    ])
