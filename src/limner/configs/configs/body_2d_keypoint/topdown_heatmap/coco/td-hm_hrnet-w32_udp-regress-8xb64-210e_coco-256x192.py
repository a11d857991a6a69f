"""HRNet-W32, UDP, 256x192: 17 keypoints of a person (COCO)."""

_base_ = [
    '../../../_base_/models/hrnet-w32.py',
    '../../../_base_/codecs/udp-256x192.py',
    '../../../_base_/data/coco.py',
]

codec = dict({{_base_.codec}}, heatmap_type='combined')
model = dict(
    head=dict(out_channels=51, decoder=codec),
    test_cfg=dict(flip_mode='udp_combined', shift_heatmap=False))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
