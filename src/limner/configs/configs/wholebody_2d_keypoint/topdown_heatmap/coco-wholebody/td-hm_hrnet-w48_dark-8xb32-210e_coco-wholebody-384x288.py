"""HRNet-W48, DARK, 384x288: 133 keypoints of a whole body (COCO-WholeBody)."""

_base_ = [
    '../../../_base_/models/hrnet-w48.py',
    '../../../_base_/codecs/dark-384x288.py',
    '../../../_base_/data/coco-wholebody.py',
]

model = dict(head=dict(out_channels=133, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
