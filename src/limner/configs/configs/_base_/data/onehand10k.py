"""OneHand10K: 21 keypoints of a hand."""

dataset_type = 'OneHand10KDataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/onehand10k.py')))
