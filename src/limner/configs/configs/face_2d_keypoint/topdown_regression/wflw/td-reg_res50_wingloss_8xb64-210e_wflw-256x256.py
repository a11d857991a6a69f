"""ResNet-50, regression, 256x256: 98 keypoints of a face (WFLW)."""

_base_ = [
    '../../../_base_/models/resnet-50-regression.py',
    '../../../_base_/codecs/regression-256x256.py',
    '../../../_base_/data/wflw.py',
]

model = dict(
    head=dict(num_joints=98, decoder={{_base_.codec}}),
    test_cfg=dict(shift_coords=True))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
