"""RTMW-l, 256x192: 133 keypoints of a whole body (COCO-WholeBody)."""

_base_ = [
    '../../../_base_/models/rtmw-l.py',
    '../../../_base_/codecs/simcc-256x192.py',
    '../../../_base_/data/coco-wholebody.py',
]

model = dict(head=dict(out_channels=133, input_size=(192, 256), in_featuremap_size=(6, 8), decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
