"""CSPNeXt-m with heatmaps, 256x192: 133 keypoints of a whole body (COCO-WholeBody)."""

_base_ = [
    '../../../_base_/models/cspnext-m-udp.py',
    '../../../_base_/codecs/udp-256x192.py',
    '../../../_base_/data/coco-wholebody.py',
]

model = dict(head=dict(out_channels=133, decoder={{_base_.codec}}))

# as MMPose has it: trained on unbiased heatmaps, cropped the plain way
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size={{_base_.codec.input_size}}),
    dict(type='PackPoseInputs'),
]
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))
