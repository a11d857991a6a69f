"""LaPa: 106 keypoints of a face."""

dataset_type = 'LapaDataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/lapa.py')))
