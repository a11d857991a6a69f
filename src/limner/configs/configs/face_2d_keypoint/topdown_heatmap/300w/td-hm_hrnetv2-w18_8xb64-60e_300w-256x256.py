"""HRNetV2-W18, 256x256: 68 keypoints of a face (300-W)."""

_base_ = [
    '../../../_base_/models/hrnetv2-w18.py',
    '../../../_base_/codecs/msra-256x256.py',
    '../../../_base_/data/300w.py',
]

codec = dict({{_base_.codec}}, sigma=1.5)
model = dict(head=dict(out_channels=68, decoder=codec))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
