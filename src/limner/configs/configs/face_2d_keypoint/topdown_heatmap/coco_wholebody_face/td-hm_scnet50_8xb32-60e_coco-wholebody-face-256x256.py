"""SCNet-50 with heatmaps, 256x256: 68 keypoints of a face (COCO-WholeBody)."""

_base_ = [
    '../../../_base_/models/scnet-50.py',
    '../../../_base_/codecs/msra-256x256.py',
    '../../../_base_/data/coco-wholebody-face.py',
]

model = dict(head=dict(out_channels=68, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
