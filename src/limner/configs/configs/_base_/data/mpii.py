"""MPII: 16 keypoints of a person."""

dataset_type = 'MpiiDataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/mpii.py')))
