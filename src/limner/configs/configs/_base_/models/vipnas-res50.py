"""ViPNAS-ResNet-50 with its heatmap head; the config that builds on it adds the keypoints and the codec."""

_base_ = './resnet-50.py'

model = dict(
    backbone=dict(_delete_=True, type='ViPNAS_ResNet', depth=50),
    head=dict(type='ViPNASHead', in_channels=608))
