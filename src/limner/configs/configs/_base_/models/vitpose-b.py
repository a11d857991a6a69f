"""ViTPose-B: a plain vision transformer, then two deconvolutions. The other sizes change the transformer."""

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='mmpretrain.VisionTransformer',
        arch='base',
        img_size=(256, 192),
        patch_size=16,
        patch_cfg=dict(padding=2),
        qkv_bias=True,
        with_cls_token=False,
        out_type='featmap'),
    head=dict(
        type='HeatmapHead',
        in_channels=768,
        deconv_out_channels=(256, 256),
        deconv_kernel_sizes=(4, 4)),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
