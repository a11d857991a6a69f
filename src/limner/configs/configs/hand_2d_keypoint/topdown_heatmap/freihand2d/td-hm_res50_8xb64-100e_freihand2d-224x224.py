"""ResNet-50 with heatmaps, 224x224: 21 keypoints of a hand (FreiHAND)."""

_base_ = [
    '../../../_base_/models/resnet-50.py',
    '../../../_base_/codecs/msra-224x224.py',
    '../../../_base_/data/freihand2d.py',
]

model = dict(head=dict(out_channels=21, decoder={{_base_.codec}}))
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=0.8),
    dict(type='TopdownAffine', input_size={{_base_.codec.input_size}}),
    dict(type='PackPoseInputs'),
]
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))
