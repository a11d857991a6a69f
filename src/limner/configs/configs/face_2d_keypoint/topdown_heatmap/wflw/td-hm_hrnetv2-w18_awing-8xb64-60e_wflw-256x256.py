"""HRNetV2-W18, 256x256: 98 keypoints of a face (WFLW)."""

_base_ = [
    '../../../_base_/models/hrnetv2-w18.py',
    '../../../_base_/codecs/msra-256x256.py',
    '../../../_base_/data/wflw.py',
]

model = dict(head=dict(out_channels=98, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
