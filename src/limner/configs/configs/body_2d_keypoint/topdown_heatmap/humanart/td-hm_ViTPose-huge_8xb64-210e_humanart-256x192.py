"""ViTPose-H, 256x192: 17 keypoints of a person (Human-Art)."""

_base_ = [
    '../../../_base_/models/vitpose-h.py',
    '../../../_base_/codecs/udp-256x192.py',
    '../../../_base_/data/humanart.py',
]

model = dict(head=dict(out_channels=17, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
