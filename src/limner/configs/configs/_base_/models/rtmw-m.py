"""RTMW-m."""

_base_ = './rtmw-l.py'

model = dict(
    backbone=dict(deepen_factor=0.67, widen_factor=0.75),
    neck=dict(in_channels=[192, 384, 768]),
    head=dict(in_channels=768))
