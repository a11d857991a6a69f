"""SimpleBaseline with ResNet-101."""

_base_ = './resnet-50.py'

model = dict(backbone=dict(depth=101))
