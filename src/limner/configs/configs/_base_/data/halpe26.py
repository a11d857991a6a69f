"""Halpe: 26 keypoints of a person, with feet, neck and head."""

dataset_type = 'HalpeDataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/halpe26.py')))
