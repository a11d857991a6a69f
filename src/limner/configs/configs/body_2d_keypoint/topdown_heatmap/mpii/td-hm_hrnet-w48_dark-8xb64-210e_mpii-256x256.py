"""HRNet-W48, DARK, 256x256: 16 keypoints of a person (MPII)."""

_base_ = [
    '../../../_base_/models/hrnet-w48.py',
    '../../../_base_/codecs/dark-256x256.py',
    '../../../_base_/data/mpii.py',
]

model = dict(head=dict(out_channels=16, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
