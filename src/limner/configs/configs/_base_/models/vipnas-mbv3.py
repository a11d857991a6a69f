"""ViPNAS-MobileNetV3 with its heatmap head; the config that builds on it adds the keypoints and the codec."""

_base_ = './resnet-50.py'

model = dict(
    backbone=dict(_delete_=True, type='ViPNAS_MobileNetV3'),
    head=dict(
        type='ViPNASHead',
        in_channels=160,
        deconv_out_channels=(160, 160, 160),
        deconv_num_groups=(160, 160, 160)))
