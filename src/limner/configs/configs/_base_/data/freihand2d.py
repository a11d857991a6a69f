"""FreiHAND: 21 keypoints of a hand."""

dataset_type = 'FreiHandDataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/freihand2d.py')))
