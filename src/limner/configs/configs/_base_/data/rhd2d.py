"""Rendered Hand Pose: 21 keypoints of a hand."""

dataset_type = 'Rhd2DDataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/rhd2d.py')))
