"""HRNet-W32, 256x192: 14 keypoints of a person (ExLPose)."""

_base_ = [
    '../../../_base_/models/hrnet-w32.py',
    '../../../_base_/codecs/msra-256x192.py',
    '../../../_base_/data/exlpose.py',
]

model = dict(head=dict(out_channels=14, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
