"""RTMPose-m."""

_base_ = './rtmpose-l.py'

model = dict(
    backbone=dict(deepen_factor=0.67, widen_factor=0.75),
    head=dict(in_channels=768))
