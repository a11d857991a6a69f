"""Coordinates regressed, on crops 256 wide and high."""

codec = dict(
    type='RegressionLabel', input_size=(256, 256))

val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]
