"""ViTPose-S."""

_base_ = './vitpose-b.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=384, num_layers=12, num_heads=12, feedforward_channels=1536)),
    head=dict(in_channels=384))
