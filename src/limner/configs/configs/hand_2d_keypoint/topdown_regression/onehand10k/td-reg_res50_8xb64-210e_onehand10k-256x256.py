"""ResNet-50, regression, 256x256: 21 keypoints of a hand (OneHand10K)."""

_base_ = [
    '../../../_base_/models/resnet-50-regression.py',
    '../../../_base_/codecs/regression-256x256.py',
    '../../../_base_/data/onehand10k.py',
]

model = dict(
    head=dict(num_joints=21, decoder={{_base_.codec}}),
    test_cfg=dict(flip_mode='heatmap', shift_heatmap=True))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
