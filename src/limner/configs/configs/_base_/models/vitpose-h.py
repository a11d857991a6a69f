"""ViTPose-H."""

_base_ = './vitpose-b.py'

model = dict(
    backbone=dict(arch='huge'),
    head=dict(in_channels=1280))
