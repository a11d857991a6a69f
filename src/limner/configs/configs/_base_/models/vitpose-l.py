"""ViTPose-L."""

_base_ = './vitpose-b.py'

model = dict(
    backbone=dict(arch='large'),
    head=dict(in_channels=1024))
