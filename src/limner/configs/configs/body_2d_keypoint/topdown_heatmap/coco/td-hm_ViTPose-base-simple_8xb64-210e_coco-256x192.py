"""ViTPose-B, simple decoder, 256x192: 17 keypoints of a person (COCO)."""

_base_ = [
    '../../../_base_/models/vitpose-b-simple.py',
    '../../../_base_/codecs/udp-256x192.py',
    '../../../_base_/data/coco.py',
]

model = dict(head=dict(out_channels=17, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
