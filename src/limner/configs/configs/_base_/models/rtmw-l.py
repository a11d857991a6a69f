"""RTMW-l: RTMPose with a feature pyramid, for whole bodies. The other sizes change its depth and width."""

_base_ = './rtmpose-l.py'

model = dict(
    backbone=dict(out_indices=(2, 3, 4)),
    neck=dict(
        type='CSPNeXtPAFPN',
        in_channels=[256, 512, 1024],
        out_channels=None,
        out_indices=(1, 2),
        num_csp_blocks=2,
        expand_ratio=0.5,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='SiLU')),
    head=dict(type='RTMWHead'))
