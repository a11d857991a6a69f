"""SCNet-50 with heatmaps, 256x256: 21 keypoints of a hand (COCO-WholeBody)."""

_base_ = [
    '../../../_base_/models/scnet-50.py',
    '../../../_base_/codecs/msra-256x256.py',
    '../../../_base_/data/coco-wholebody-hand.py',
]

model = dict(head=dict(out_channels=21, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
