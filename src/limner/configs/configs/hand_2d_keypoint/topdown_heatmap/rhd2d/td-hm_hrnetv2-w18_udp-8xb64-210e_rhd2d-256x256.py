"""HRNetV2-W18, UDP, 256x256: 21 keypoints of a hand (Rendered Hand Pose)."""

_base_ = [
    '../../../_base_/models/hrnetv2-w18.py',
    '../../../_base_/codecs/udp-256x256.py',
    '../../../_base_/data/rhd2d.py',
]

model = dict(
    head=dict(out_channels=21, decoder={{_base_.codec}}),
    test_cfg=dict(shift_heatmap=False))

# as MMPose has it: trained on unbiased heatmaps, cropped the plain way
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size={{_base_.codec.input_size}}),
    dict(type='PackPoseInputs'),
]
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))
