"""ViPNAS-MobileNetV3 with heatmaps and DARK decoding, 256x192: 133 keypoints of a whole body (COCO-WholeBody)."""

_base_ = [
    '../../../_base_/models/vipnas-mbv3.py',
    '../../../_base_/codecs/dark-256x192.py',
    '../../../_base_/data/coco-wholebody.py',
]

model = dict(head=dict(out_channels=133, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
