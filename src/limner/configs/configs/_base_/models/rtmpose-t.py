"""RTMPose-t."""

_base_ = './rtmpose-l.py'

model = dict(
    backbone=dict(deepen_factor=0.167, widen_factor=0.375),
    head=dict(in_channels=384))
