"""RTMPose-s."""

_base_ = './rtmpose-l.py'

model = dict(
    backbone=dict(deepen_factor=0.33, widen_factor=0.5),
    head=dict(in_channels=512))
