"""RTMPose-x."""

_base_ = './rtmpose-l.py'

model = dict(
    backbone=dict(deepen_factor=1.33, widen_factor=1.25),
    head=dict(in_channels=1280))
