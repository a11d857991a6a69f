"""HRNetV2-W18, DARK, 256x256: 19 keypoints of a face (AFLW)."""

_base_ = [
    '../../../_base_/models/hrnetv2-w18.py',
    '../../../_base_/codecs/dark-256x256.py',
    '../../../_base_/data/aflw.py',
]

model = dict(head=dict(out_channels=19, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
