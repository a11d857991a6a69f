"""The training scripts, in small: each piece does what the models' cards say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
from torch import nn  # noqa: E402

from limner import build, config  # noqa: E402

TRAINING = Path(__file__).resolve().parents[1] / "training"


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TRAINING))
    torch.manual_seed(0)


def frontal_face() -> np.ndarray:
    """68 points of a schematic upright face, 100 pixels wide."""
    t = np.linspace(np.pi, 0, 17)
    jaw = np.stack([50 + 50 * np.cos(t), 50 + 60 * np.sin(t)], 1)
    brows = np.stack([np.r_[np.linspace(12, 42, 5), np.linspace(58, 88, 5)], np.full(10, 35.0)], 1)
    nose = np.stack([np.full(9, 50.0), np.linspace(45, 75, 9)], 1)
    eyes = np.stack([np.r_[np.linspace(20, 40, 6), np.linspace(60, 80, 6)], np.full(12, 48.0)], 1)
    mouth = np.stack([np.linspace(35, 65, 20), np.full(20, 88.0)], 1)
    return np.concatenate([jaw, brows, nose, eyes, mouth]).astype(np.float32)


def test_a_face_box_reaches_from_forehead_to_chin() -> None:
    import faces

    points = frontal_face()
    box = faces.face_box(points)
    assert np.allclose(box[[0, 2, 3]], [0, 100, 110], atol=0.5)
    assert -15 < box[1] < 20, "the forehead is not in the box, or far too much of it"


def test_held_out_faces_and_regions_never_enter_training() -> None:
    import faces
    from false_alarm_regions import held_out_files, read_rows

    held = [i for i in range(805) if faces.is_validation("lfpw_train", i)]
    assert 90 <= len(held) <= 110
    assert not any(faces.is_validation("youtube_training", i) for i in range(100))
    names = held_out_files()
    assert all(row["file"] in names[row["data"]] for row in read_rows())


def test_turning_an_image_turns_its_points(portrait: np.ndarray) -> None:
    import augment

    marked = np.zeros((200, 200, 3), np.uint8)
    marked[60:63, 120:123] = 255
    import cv2

    matrix = augment.similarity(np.array([100.0, 80.0]), 150, 128, 30)
    turned = cv2.warpAffine(marked, matrix, (128, 128))
    y, x = np.argwhere(turned[..., 0] > 60).mean(0)
    assert np.allclose(augment.transform_points(np.array([121.0, 61.0]), matrix), (x, y), atol=0.7)
    rng = np.random.default_rng(0)
    for _ in range(30):
        out = augment.photometric(portrait[:128, :128], rng)
        assert out.shape == (128, 128, 3)
        assert out.dtype == np.uint8


def test_calibration_changes_statistics_but_not_the_function() -> None:
    import loop

    net = build.network(config.load("limner/rtmdet_face-lite_288.py")["model"])
    images = torch.randn(4, 3, 64, 64)
    net.eval()
    with torch.no_grad():
        before = net(images)[0][0]
    loop.calibrate(net, images)
    net.eval()
    with torch.no_grad():
        after = net(images)[0][0]
    assert torch.allclose(before, after, atol=1e-4)
    norm = next(m for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    assert not torch.allclose(norm.running_mean, torch.zeros_like(norm.running_mean))


def test_the_fast_depthwise_kernel_has_torchs_gradients(capfd: pytest.CaptureFixture[str]) -> None:
    from depthwise import accelerate

    for channels, kernel, stride in ((16, 3, 1), (24, 5, 1), (40, 3, 2)):
        plain = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
        fast = nn.Sequential(nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False))
        fast[0].load_state_dict(plain.state_dict())
        accelerate(fast)
        if "no compiled depthwise kernel" in capfd.readouterr().err:
            pytest.skip("needs a C++ compiler: apt-get install g++")
        image = torch.randn(3, channels, 13, 17)
        a, b = image.clone().requires_grad_(), image.clone().requires_grad_()
        one, two = plain(a), fast(b)
        weight = torch.randn_like(one)
        (one * weight).sum().backward()
        (two * weight).sum().backward()
        assert torch.allclose(one, two, atol=1e-5)
        assert torch.allclose(a.grad, b.grad, atol=1e-5)
        assert torch.allclose(plain.weight.grad, fast[0].weight.grad, atol=1e-3)


def test_a_face_gets_the_grid_points_inside_it() -> None:
    from assign import assign, detector_loss

    y, x = torch.meshgrid(torch.arange(8) * 8.0, torch.arange(8) * 8.0, indexing="ij")
    points = torch.stack([x, y], -1).reshape(-1, 2)
    truth = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    predicted = torch.cat([points - 12, points + 12], 1)
    owner, quality = assign(points, torch.full((64,), 8.0), torch.zeros(64), predicted, truth)
    chosen = points[owner == 0]
    assert 1 <= len(chosen) <= 13
    assert ((chosen > 8) & (chosen < 40)).all()
    assert (quality[owner == 0] > 0).all()
    assert (quality[owner < 0] == 0).all()
    cls, reg = torch.full((1, 1, 8, 8), -4.0), torch.full((1, 4, 8, 8), 12.0)
    empty = torch.zeros(0, 4)
    sure = cls.clone()
    sure[0, 0, 6, 6] = 4.0
    quiet = detector_loss([cls], [reg], (8,), [empty], [empty])["cls"]
    loud = detector_loss([sure], [reg], (8,), [empty], [empty])["cls"]
    excused = detector_loss([sure], [reg], (8,), [empty], [torch.tensor([[40.0, 40.0, 56.0, 56.0]])])["cls"]
    assert loud > quiet
    assert excused <= quiet, "an ignored region still counts"


def test_the_simcc_loss_is_least_at_the_truth() -> None:
    from landmarks import simcc_loss

    target = torch.tensor([[20.0]])
    seen = torch.ones(1, 1)
    bins = torch.arange(128.0)

    def total(at: float) -> float:
        logits = torch.exp(-((bins - at * 2) ** 2) / (2 * 4.5**2))[None, None]
        return float(sum(simcc_loss(logits, target, 4.5, 2.0, seen)))

    assert total(20) < total(21) < total(30)


def test_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    import loop

    def run(minutes: float) -> Any:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        data = torch.randn(64, 4)
        goal = data.sum(1, keepdim=True)

        def batches() -> Any:
            while True:
                yield data, goal

        def loss(model: nn.Module, batch: Any) -> dict[str, Any]:
            return {"mse": (model(batch[0]) - batch[1]).square().mean()}

        return loop.train(
            net, batches(), loss, lambda _: "", folder=tmp_path, minutes=minutes, lr=1e-2, check_every=0.001
        )

    run(0.01)
    first = torch.load(tmp_path / "state.pt", weights_only=True)
    run(0.02)
    second = torch.load(tmp_path / "state.pt", weights_only=True)
    assert second["step"] > first["step"]
    assert second["spent"] >= first["spent"]
    losses = [float(line.split("mse")[1]) for line in (tmp_path / "log.txt").read_text().splitlines()]
    assert losses[-1] < losses[0]
