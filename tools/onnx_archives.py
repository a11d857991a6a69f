"""The archives with ONNX files that OpenMMLab publishes, for `make_zoo.py`."""

from __future__ import annotations

from pathlib import Path

OPENMMLAB = "https://download.openmmlab.com/"

# Archives with ONNX files that OpenMMLab publishes below .../onnx_sdk/, by the names of the weights they were made
# from: those that MMPose's projects/rtmpose/README.md and rtmlib's README.md link, and the two detectors of persons,
# which lie beside them.
ONNX_SDK = (
    "rtmdet_m_8xb32-100e_coco-obj365-person-235e8209",
    "rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e",
    "rtmdet_nano_8xb32-300e_hand-267f9c8f",
    "rtmpose-l_8xb256-420e_humanart-256x192-389f2cb0_20230611",
    "rtmpose-l_simcc-body7_pt-body7-halpe26_700e-256x192-2abb7558_20230605",
    "rtmpose-l_simcc-body7_pt-body7-halpe26_700e-384x288-734182ce_20230605",
    "rtmpose-l_simcc-body7_pt-body7_420e-256x192-4dba18fc_20230504",
    "rtmpose-l_simcc-body7_pt-body7_420e-384x288-3f5a1437_20230504",
    "rtmpose-m_8xb256-420e_humanart-256x192-8430627b_20230611",
    "rtmpose-m_simcc-ap10k_pt-aic-coco_210e-256x256-7a041aa1_20230206",
    "rtmpose-m_simcc-body7_pt-body7-halpe26_700e-256x192-4d3e73dd_20230605",
    "rtmpose-m_simcc-body7_pt-body7-halpe26_700e-384x288-89e6428b_20230605",
    "rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504",
    "rtmpose-m_simcc-body7_pt-body7_420e-384x288-65e718c4_20230504",
    "rtmpose-m_simcc-face6_pt-in1k_120e-256x256-72a37400_20230529",
    "rtmpose-l_simcc-ucoco_dw-ucoco_270e-256x192-4d6dfc62_20230728",
    "rtmpose-l_simcc-ucoco_dw-ucoco_270e-384x288-2438fd99_20230728",
    "rtmpose-m_simcc-hand5_pt-aic-coco_210e-256x256-74fb594_20230320",
    "rtmpose-m_simcc-ucoco_dw-ucoco_270e-256x192-c8b76419_20230728",
    "rtmpose-s_8xb256-420e_humanart-256x192-5a3ac943_20230611",
    "rtmpose-s_simcc-body7_pt-body7-halpe26_700e-256x192-7f134165_20230605",
    "rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504",
    "rtmpose-s_simcc-face6_pt-in1k_120e-256x256-d779fdef_20230529",
    "rtmpose-t_8xb256-420e_humanart-256x192-60b68c98_20230612",
    "rtmpose-t_simcc-body7_pt-body7-halpe26_700e-256x192-6020f8a6_20230605",
    "rtmpose-t_simcc-body7_pt-body7_420e-256x192-026a1439_20230504",
    "rtmpose-t_simcc-face6_pt-in1k_120e-256x256-df79d9a5_20230529",
    "rtmpose-x_simcc-body7_pt-body7-halpe26_700e-384x288-7fb6e239_20230606",
)
RTMW_SDK = {  # these have another name than their weights
    "rtmw-dw-l-m_simcc-cocktail14_270e-256x192-20231122": "rtmw-dw-l-m_simcc-cocktail14_270e-256x192_20231122",
    "rtmw-dw-x-l_simcc-cocktail14_270e-256x192-20231122": "rtmw-dw-x-l_simcc-cocktail14_270e-256x192_20231122",
    "rtmw-dw-x-l_simcc-cocktail14_270e-384x288-20231122": "rtmw-dw-x-l_simcc-cocktail14_270e-384x288_20231122",
}


def onnx_of(weights: str) -> dict[str, str]:
    """Return the address of the archive with the ONNX file of published weights; nothing where there is none."""
    stem = Path(weights).stem
    if stem in ONNX_SDK:
        return {"onnx": f"{OPENMMLAB}mmpose/v1/projects/rtmposev1/onnx_sdk/{stem}.zip"}
    if stem in RTMW_SDK:
        return {"onnx": f"{OPENMMLAB}mmpose/v1/projects/rtmw/onnx_sdk/{RTMW_SDK[stem]}.zip"}
    return {}
