"""ViTPose-H with the simple decoder: upsampling and one convolution."""

_base_ = './vitpose-h.py'

model = dict(
    neck=dict(type='FeatureMapProcessor', scale_factor=4.0, apply_relu=True),
    head=dict(
        _delete_=True,
        type='HeatmapHead',
        in_channels=1280,
        deconv_out_channels=[],
        deconv_kernel_sizes=[],
        final_layer=dict(kernel_size=3, padding=1)))
