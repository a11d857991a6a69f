"""WFLW: 98 keypoints of a face."""

dataset_type = 'WFLWDataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/wflw.py')))
