"""Heatmaps whose peak is shifted a quarter pixel towards its higher neighbour, on crops 224 wide and 224 high."""

codec = dict(
    type='MSRAHeatmap', input_size=(224, 224), heatmap_size=(56, 56), sigma=2)

val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]
