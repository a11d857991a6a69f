"""HRNetV2-W18, 256x256: 29 keypoints of a face (COFW)."""

_base_ = [
    '../../../_base_/models/hrnetv2-w18.py',
    '../../../_base_/codecs/msra-256x256.py',
    '../../../_base_/data/cofw.py',
]

codec = dict({{_base_.codec}}, sigma=1.5)
model = dict(head=dict(out_channels=29, decoder=codec))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
