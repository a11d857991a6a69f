"""MobileNetV2, then three deconvolutions."""

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(type='MobileNetV2', widen_factor=1., out_indices=(7, )),
    head=dict(type='HeatmapHead', in_channels=1280),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))
