"""The bundled face model: RTMPose with 68 keypoints in 300-W's order, on crops of 160 x 160."""

codec = dict(
    type='SimCCLabel',
    input_size=(160, 160),
    sigma=(4.5, 4.5),
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False)

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='CSPNeXt',
        arch='P5',
        deepen_factor=0.33,
        widen_factor=0.25,
        out_indices=(4, ),
        use_depthwise=True,
        channel_attention=True,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='SiLU')),
    head=dict(
        type='RTMCCHead',
        in_channels=256,
        out_channels=68,
        input_size=codec['input_size'],
        in_featuremap_size=(5, 5),
        simcc_split_ratio=codec['simcc_split_ratio'],
        final_layer_kernel_size=7,
        gau_cfg=dict(
            hidden_dims=256,
            s=128,
            expansion_factor=2,
            dropout_rate=0.,
            drop_path=0.,
            act_fn='SiLU',
            use_rel_bias=False,
            pos_enc=False),
        decoder=codec),
    # bounded_scores is limner's own: keypoint scores end at 1, where SimCC's maxima may exceed it
    test_cfg=dict(flip_test=False, bounded_scores=True))

val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]
test_dataloader = dict(
    dataset=dict(
        type='Face300WDataset',
        metainfo=dict(from_file='configs/_base_/datasets/300w.py'),
        pipeline=val_pipeline))
