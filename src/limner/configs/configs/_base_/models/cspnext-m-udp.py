"""CSPNeXt-m, then three deconvolutions."""

_base_ = './rtmpose-m.py'

model = dict(
    head=dict(_delete_=True, type='HeatmapHead', in_channels=768),
    test_cfg=dict(flip_test=False, flip_mode='heatmap', shift_heatmap=False))
