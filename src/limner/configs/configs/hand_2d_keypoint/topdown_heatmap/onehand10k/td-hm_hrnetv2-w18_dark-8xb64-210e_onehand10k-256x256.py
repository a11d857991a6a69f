"""HRNetV2-W18, DARK, 256x256: 21 keypoints of a hand (OneHand10K)."""

_base_ = [
    '../../../_base_/models/hrnetv2-w18.py',
    '../../../_base_/codecs/dark-256x256.py',
    '../../../_base_/data/onehand10k.py',
]

model = dict(head=dict(out_channels=21, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
