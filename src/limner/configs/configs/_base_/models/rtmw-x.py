"""RTMW-x."""

_base_ = './rtmw-l.py'

model = dict(
    backbone=dict(deepen_factor=1.33, widen_factor=1.25),
    neck=dict(in_channels=[320, 640, 1280]),
    head=dict(in_channels=1280))
