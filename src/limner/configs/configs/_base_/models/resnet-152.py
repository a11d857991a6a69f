"""SimpleBaseline with ResNet-152."""

_base_ = './resnet-50.py'

model = dict(backbone=dict(depth=152))
