"""COCO-WholeBody: the 68 keypoints of the face."""

dataset_type = 'CocoWholeBodyFaceDataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/coco_wholebody_face.py')))
