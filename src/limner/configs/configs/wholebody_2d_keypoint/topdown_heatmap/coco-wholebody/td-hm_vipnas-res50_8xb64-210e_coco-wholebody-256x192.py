"""ViPNAS-ResNet-50 with heatmaps, 256x192: 133 keypoints of a whole body (COCO-WholeBody)."""

_base_ = [
    '../../../_base_/models/vipnas-res50.py',
    '../../../_base_/codecs/msra-256x192.py',
    '../../../_base_/data/coco-wholebody.py',
]

model = dict(head=dict(out_channels=133, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
