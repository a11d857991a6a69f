"""Somebody who wants to see the images, still and moving, on a desktop and without one."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import queue
import select
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from limner.display import hud, keys
from limner.display.keys import Action
from limner.display.window import Window
from limner.errors import MissingExtraError, OutputError
from servers import display_of_this_process

IMAGE = np.zeros((90, 160, 3), np.uint8)
IMAGE[:, :80] = (255, 0, 0)  # blue
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
NO_PYGAME = "needs pygame-ce: pip install -e .[test]"
BLACK, BLUE = (0, 0, 0), (0, 0, 255)  # as pygame says them, in RGB


@pytest.fixture
def pygame(monkeypatch: pytest.MonkeyPatch) -> Any:
    """pygame, drawing into memory."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    return pytest.importorskip("pygame", reason=NO_PYGAME)


def press(pygame: Any, *keys: str) -> None:
    for key in keys:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=getattr(pygame, f"K_{key}")))


def resize(pygame: Any, *size: int) -> None:
    """Do what the user does who pulls at a corner."""
    pygame.display.set_mode(size, pygame.RESIZABLE)


def seen(pygame: Any) -> np.ndarray:
    """Return what stands in the window, BGR."""
    screen = pygame.display.get_surface()
    return np.ascontiguousarray(pygame.surfarray.array3d(screen).transpose(1, 0, 2)[..., ::-1])


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    """An image of which no two places are alike."""
    coarse = np.random.default_rng(seed).integers(1, 256, (6, 8, 3), dtype=np.uint8)
    return np.maximum(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 1)


# -- who cannot have a window


def test_without_a_display_the_user_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OutputError, match=r"^no window can be shown, since there is no display.*: give --output-root$"):
        Window("faces", "give --output-root")


def test_without_the_package_the_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingExtraError, match=r'give --output-root.*pip install "pygame-ce>=2.4"'):
        Window("faces", "give --output-root")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux names its displays")
def test_a_display_that_does_not_answer_is_no_endless_wait() -> None:
    pytest.importorskip("pygame", reason=NO_PYGAME)
    code = "from limner.display.window import Window; import numpy as np\n"
    code += "Window('faces').show(np.zeros((9, 9, 3), np.uint8))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**plain_environment(), "DISPLAY": ":4999"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "OutputError: no window can be shown, since the display ':4999' does not answer: leave" in done.stderr


def test_a_second_thread_is_turned_away(pygame: Any) -> None:
    with Window("faces") as window:
        window.play(IMAGE)
        errors: list[BaseException] = []

        def use(call: Callable[[], object]) -> None:
            try:
                call()
            except OutputError as error:
                errors.append(error)

        for call in (lambda: window.play(IMAGE), lambda: window.show(IMAGE), window.wait):
            other = threading.Thread(target=use, args=(call,))
            other.start()
            other.join(20)
        assert len(errors) == 3
        assert all("in the thread that opened it" in str(error) for error in errors)


def test_on_macos_only_the_main_thread_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    errors: list[str] = []

    def use() -> None:
        try:
            Window("faces", "write them")
        except OutputError as error:
            errors.append(str(error))

    other = threading.Thread(target=use)
    other.start()
    other.join(20)
    assert errors == [
        "no window can be shown, since on macOS only the main thread of a program can open windows: write them"
    ]


# -- still images


def test_colours_are_those_of_the_image(pygame: Any) -> None:
    with Window("faces") as window:
        assert window.show(IMAGE, 0.05)
        screen = pygame.display.get_surface()
        assert screen.get_size() == (160, 90)
        assert screen.get_at((10, 10))[:3] == BLUE
        assert screen.get_at((150, 10))[:3] == BLACK
        assert (seen(pygame) == IMAGE).all()


def test_a_large_image_is_made_to_fit(pygame: Any) -> None:
    with Window("faces") as window:
        width, height = pygame.display.get_desktop_sizes()[0]
        assert window.show(np.zeros((4000, 8000, 3), np.uint8), 0.05)
        shown = pygame.display.get_surface().get_size()
        assert shown[0] < width
        assert shown[1] < height
        assert shown[0] == pytest.approx(2 * shown[1], abs=2)


def test_each_still_image_has_its_own_size(pygame: Any) -> None:
    with Window("faces") as window:
        for width, height in ((160, 90), (300, 300), (160, 200)):
            assert window.show(noise(width, height), 0.02)
            assert pygame.display.get_surface().get_size() == (width, height)


@pytest.mark.parametrize(("key", "goes_on"), [("ESCAPE", False), ("q", False), ("SPACE", True)])
def test_keys_close_it_or_go_on(pygame: Any, key: str, goes_on: bool) -> None:
    with Window("faces") as window:
        press(pygame, key)
        assert window.show(IMAGE) is goes_on
        assert window.show(IMAGE, 0.05) is goes_on


def test_a_second_key_is_for_the_next_image(pygame: Any) -> None:
    with Window("faces") as window:
        press(pygame, "SPACE", "RETURN", "q")
        assert window.show(IMAGE)
        assert window.show(IMAGE)
        assert not window.show(IMAGE)


def test_its_own_button_closes_it(pygame: Any) -> None:
    with Window("faces") as window:
        pygame.event.post(pygame.event.Event(pygame.QUIT))
        assert not window.show(IMAGE)


# -- moving images


def test_each_image_is_shown_at_once(pygame: Any) -> None:
    with Window("live") as window:
        for i in range(20):
            image = noise(64, 48, i)
            assert window.play(image) == ()
            assert (seen(pygame) == image).all()


def test_what_the_user_asks_for_comes_in_order(pygame: Any) -> None:
    with Window("live") as window:
        assert window.play(IMAGE) == ()
        press(pygame, "s", "b", "x", "h", "s", "SPACE", "SPACE")
        assert window.play(IMAGE) == (
            *(Action.SNAPSHOT, Action.BOXES, Action.HEATMAP),
            *(Action.SNAPSHOT, Action.PAUSE, Action.PAUSE),
        )
        assert window.play(IMAGE) == ()


def test_the_keys_on_the_image_do_what_they_say(pygame: Any) -> None:
    with Window("live") as window:
        for hint in reversed(keys.HINTS):  # ESC last
            key, what = hint.split()
            press(pygame, {"ESC": "ESCAPE", "space": "SPACE"}.get(key, key))
            assert [action.value for action in window.play(IMAGE)] == [what]
    assert sorted(hint.split()[1] for hint in keys.HINTS) == sorted(action.value for action in Action)


@pytest.mark.parametrize("way", ["ESCAPE", "q", "button"])
def test_once_closed_it_stays_closed(pygame: Any, way: str) -> None:
    with Window("live") as window:
        window.play(IMAGE)
        if way == "button":
            pygame.event.post(pygame.event.Event(pygame.QUIT))
        else:
            press(pygame, way)
        press(pygame, "s")
        assert window.play(np.zeros_like(IMAGE)) == (Action.QUIT, Action.SNAPSHOT)
        assert (seen(pygame) == IMAGE).all(), "an image was shown after the end"
        assert window.play(IMAGE) == (Action.QUIT,)
        assert window.wait() == (Action.QUIT,)
        assert not window.show(IMAGE)


def test_letters_are_found_on_a_keyboard_that_has_others(pygame: Any) -> None:
    cyrillic = {"й": pygame.KSCAN_Q, "ы": pygame.KSCAN_S, "и": pygame.KSCAN_B, "р": pygame.KSCAN_H, "ф": pygame.KSCAN_A}
    with Window("live") as window:
        window.play(IMAGE)
        for letter in "ырифй":
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=ord(letter), scancode=cyrillic[letter]))
        assert window.play(IMAGE) == (Action.SNAPSHOT, Action.HEATMAP, Action.BOXES, Action.QUIT)


def test_a_pause_ends_with_what_the_user_asks_for(pygame: Any) -> None:
    with Window("live") as window:
        window.play(IMAGE)
        assert window.wait(0.05) == ()
        press(pygame, "s", "SPACE")
        assert window.wait() == (Action.SNAPSHOT, Action.PAUSE)


def test_a_heatmap_below_leaves_the_width_as_it_is(pygame: Any) -> None:
    plain, tall = noise(400, 200), noise(400, 400, 1)
    with Window("live") as window:
        window.play(plain)
        for _ in range(2):
            window.play(tall)
            assert (seen(pygame) == tall).all()
            window.play(plain)
            assert (seen(pygame) == plain).all()


def test_a_heatmap_that_the_desktop_has_no_room_for_stands_between_bars(pygame: Any) -> None:
    with Window("live") as window:
        desktop = pygame.display.get_desktop_sizes()[0]
        width, height = 400, desktop[1] - 150
        window.play(noise(width, height))
        window.play(noise(width, 2 * height))
        shown = seen(pygame)
        assert shown.shape[1] == width
        assert height < shown.shape[0] < desktop[1]
        columns = np.flatnonzero(shown.any(axis=(0, 2)))
        ratio = (columns[-1] - columns[0] + 1) / shown.shape[0]
        assert ratio == pytest.approx(width / (2 * height), abs=0.01)
        assert columns[0] == pytest.approx(width - 1 - columns[-1], abs=1), "it is not in the middle"
        window.play(noise(width, height))
        assert pygame.display.get_surface().get_size() == (width, height)


def test_another_source_has_its_own_size(pygame: Any) -> None:
    with Window("live") as window:
        window.play(noise(160, 120))
        window.play(noise(320, 240))
        assert pygame.display.get_surface().get_size() == (320, 240)


@pytest.mark.parametrize(("size", "place"), [((400, 400), (0, 100, 400, 200)), ((100, 20), (30, 0, 40, 20))])
def test_a_resized_window_keeps_the_shape_of_the_image(
    pygame: Any, size: tuple[int, int], place: tuple[int, int, int, int]
) -> None:
    image = noise(200, 100)
    with Window("live") as window:
        window.play(image)
        resize(pygame, *size)
        window.play(image)
        shown = seen(pygame)
        assert shown.shape[:2] == size[::-1]
        x, y, w, h = place
        wanted = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if w < 200 else cv2.INTER_LINEAR)
        assert cv2.absdiff(shown[y : y + h, x : x + w], wanted).max() <= 8
        bars = shown.copy()
        bars[y : y + h, x : x + w] = 0
        assert not bars.any(), "the bars are not black"


@pytest.mark.parametrize("width", [100, 133, 61, 17])
def test_fine_lines_are_not_lost_in_a_small_window(pygame: Any, width: int) -> None:
    stripes = np.zeros((200, 400, 3), np.uint8)
    stripes[:, ::2] = 200
    with Window("live") as window:
        window.play(stripes)
        resize(pygame, width, round(width / 2))
        window.play(stripes)
        shown = seen(pygame)
    assert abs(shown.astype(int) - 100).max() <= 12, "some lines are brighter than others"


def test_a_size_that_the_user_has_chosen_is_left_alone(pygame: Any) -> None:
    with Window("live") as window:
        window.play(noise(200, 100))
        resize(pygame, 333, 222)
        for image in (noise(200, 200), noise(640, 480), noise(200, 100)):
            window.play(image)
            assert pygame.display.get_surface().get_size() == (333, 222)
        window.show(noise(64, 64), 0.02)
        shown = seen(pygame)
        assert shown.shape[:2] == (222, 333)
        assert not shown[:, :55].any(), "something is left of the image before"


def test_a_window_inside_another_one_does_not_end_it(pygame: Any) -> None:
    with Window("live") as window:
        window.play(IMAGE)
        with Window("still") as second:
            second.show(IMAGE, 0.02)
        assert window.play(IMAGE) == ()
        assert (seen(pygame) == IMAGE).all()
        with Window("still") as second:
            second.show(IMAGE, 0.02)
        assert window.wait(0.02) == ()
        assert (seen(pygame) == IMAGE).all()
    assert window.play(IMAGE) == (Action.QUIT,)
    assert not pygame.display.get_init()


def test_images_of_any_memory_layout_are_shown(pygame: Any) -> None:
    image = noise(120, 80)
    frozen = image.copy()
    frozen.flags.writeable = False
    with Window("live") as window:
        for same in (frozen, np.asfortranarray(image), np.repeat(image, 2, axis=1)[:, ::2]):
            window.play(same)
            assert (seen(pygame) == image).all()


# -- a real display


def plain_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in DISPLAYS}


class Display:
    """An X display in memory, and what can be done to it."""

    def __init__(self, name: str, memory: Path) -> None:
        self.name, self._memory = name, memory

    def pixels(self) -> np.ndarray:
        """Return the whole screen, BGR: its memory has the form of an X window dump."""
        data = self._memory.read_bytes()
        head = struct.unpack(">25I", data[:100])
        width, height, bits, stride, colors = head[4], head[5], head[11], head[12], head[19]
        assert bits == 32
        rows = np.frombuffer(data, np.uint8, stride * height, head[0] + 12 * colors).reshape(height, stride)
        pixels = rows[:, : 4 * width].reshape(height, width, 4)
        return pixels[..., :3] if head[7] == 0 else pixels[..., :0:-1]

    def shows(self, image: np.ndarray) -> bool:
        """Wait until this image and nothing else is on the screen."""

        def same() -> bool:
            pixels = self.pixels()
            ys, xs = np.nonzero(pixels.any(axis=2))
            if not len(xs):
                return False
            found = pixels[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
            return found.shape == image.shape and bool((found == image).all())

        return eventually(same)

    def do(self, *arguments: object) -> None:
        subprocess.run(
            ["xdotool", *map(str, arguments)], env={**os.environ, "DISPLAY": self.name}, check=True, timeout=30
        )

    def press_close_button(self, window: int) -> None:
        """Send what a window manager sends when its button is pressed."""
        library = ctypes.util.find_library("X11")
        if library is None:
            pytest.skip("needs libX11: apt-get install libx11-6")
        x11 = ctypes.CDLL(library)
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
        x11.XInternAtom.restype = ctypes.c_ulong
        x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
        x11.XCloseDisplay.argtypes = [ctypes.c_void_p]

        class Message(ctypes.Structure):  # XClientMessageEvent
            _fields_ = (
                ("type", ctypes.c_int),
                ("serial", ctypes.c_ulong),
                ("send_event", ctypes.c_int),
                ("display", ctypes.c_void_p),
                ("window", ctypes.c_ulong),
                ("message_type", ctypes.c_ulong),
                ("format", ctypes.c_int),
                ("data", ctypes.c_long * 5),
                ("room", ctypes.c_long * 24),  # an XEvent is longer
            )

        display = x11.XOpenDisplay(self.name.encode())
        assert display
        message = Message(type=33, display=display, window=window, format=32)
        message.message_type = x11.XInternAtom(display, b"WM_PROTOCOLS", 0)
        message.data[0] = x11.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
        x11.XSendEvent(display, window, 0, 0, ctypes.byref(message))
        x11.XCloseDisplay(display)


def eventually(check: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def display(tmp_path: Path) -> Iterator[Display]:
    pytest.importorskip("pygame", reason=NO_PYGAME)
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("needs Xvfb: apt-get install xvfb")
    read, write = os.pipe()
    options = [
        display_of_this_process(),
        "-displayfd",
        str(write),
        "-fbdir",
        str(tmp_path),
        "-nolisten",
        "tcp",
        "-noreset",
        "-screen",
        "0",
        "1000x800x24",
    ]
    server = subprocess.Popen([program, *options], pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        ready, _, _ = select.select([read], [], [], 60)
        number = os.read(read, 20).decode().strip() if ready else ""
        assert number, "Xvfb does not start"
        yield Display(f":{number}", tmp_path / "Xvfb_screen0")
    finally:
        os.close(read)
        server.terminate()
        server.wait(20)


class Viewer:
    """A program that shows images, and the lines that it prints."""

    def __init__(self, display: Display, code: str, *arguments: object) -> None:
        start = "import sys, time, numpy as np, pygame\n"
        start += "from limner.display.keys import Action\nfrom limner.display.window import Window\n"
        start += "def say(*words): print(*words, flush=True)\n"
        self.process = subprocess.Popen(
            [sys.executable, "-c", start + textwrap.dedent(code), *map(str, arguments)],
            env={**plain_environment(), "DISPLAY": display.name, "PYGAME_HIDE_SUPPORT_PROMPT": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored by a shell's background jobs
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line.strip())
        self._lines.put("END")

    def says(self) -> str:
        return self._lines.get(timeout=60)

    def ends(self) -> int:
        return self.process.wait(60)

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(20)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def need_xdotool() -> None:
    if shutil.which("xdotool") is None:
        pytest.skip("needs xdotool: apt-get install xdotool")


PLAYER = """
    images = [np.load(path) for path in sys.argv[1:]]
    with Window("limner") as window:
        assert window.play(images[0]) == ()
        assert pygame.display.get_driver() == "x11"
        say(pygame.display.get_wm_info()["window"])
        number, actions = 0, ()
        while Action.QUIT not in actions:
            actions = window.play(images[number])
            if Action.PAUSE in actions:
                say("paused")
                wall, cpu = time.monotonic(), time.process_time()
                actions = window.wait()
                say((time.process_time() - cpu) / (time.monotonic() - wall))
            if Action.HEATMAP in actions:
                number = 1 - number
            for action in actions:
                say(action.value)
            time.sleep(0.01)
    """


@pytest.fixture
def player(display: Display, tmp_path: Path) -> Iterator[tuple[Viewer, int]]:
    """A moving image and the number of its window; the key h puts a second image below the first."""
    need_xdotool()
    for i, image in enumerate((noise(320, 240), np.concatenate([noise(320, 240), noise(320, 240, 1)]))):
        np.save(tmp_path / f"{i}.npy", image)
    with Viewer(display, PLAYER, tmp_path / "0.npy", tmp_path / "1.npy") as viewer:
        window = viewer.says()
        assert window.isdigit(), viewer.process.stderr and viewer.process.stderr.read()
        yield viewer, int(window)


def test_a_still_image_is_on_the_screen_pixel_by_pixel(display: Display, tmp_path: Path) -> None:
    image = noise(321, 240)
    np.save(tmp_path / "image.npy", image)
    code = "with Window('limner') as window: say(window.show(np.load(sys.argv[1])))"
    with Viewer(display, code, tmp_path / "image.npy"):
        assert display.shows(image)


def test_keys_reach_a_moving_image(display: Display, player: tuple[Viewer, int]) -> None:
    viewer, window = player
    assert display.shows(noise(320, 240))
    display.do("windowfocus", window)
    for key, said in (("s", "snapshot"), ("b", "boxes"), ("S", "snapshot")):
        display.do("key", key)
        assert viewer.says() == said
    display.do("key", "h")
    assert viewer.says() == "heatmap"
    assert display.shows(np.concatenate([noise(320, 240), noise(320, 240, 1)]))
    display.do("key", "h")
    assert viewer.says() == "heatmap"
    assert display.shows(noise(320, 240))
    display.do("key", "Escape")
    assert viewer.says() == "quit"
    assert viewer.ends() == 0


def test_a_window_stays_where_it_was_moved_to_when_its_height_changes(
    display: Display, player: tuple[Viewer, int]
) -> None:
    viewer, window = player
    display.do("windowfocus", window)
    display.do("windowmove", window, 17, 23)
    assert eventually(lambda: bool((display.pixels()[23:263, 17:337] == noise(320, 240)).all()))
    display.do("key", "h")
    assert viewer.says() == "heatmap"
    assert eventually(lambda: bool((display.pixels()[263:503, 17:337] == noise(320, 240, 1)).all()))
    assert (display.pixels()[23:263, 17:337] == noise(320, 240)).all()
    display.do("windowmove", window, 50, 60)  # it is the same window, not a new one in its place
    assert eventually(lambda: bool((display.pixels()[300:540, 50:370] == noise(320, 240, 1)).all()))


def test_letters_are_keys_and_no_text_for_an_input_method(display: Display) -> None:
    need_xdotool()
    code = """
        window = Window("limner")
        window.play(np.full((99, 99, 3), 9, np.uint8))
        say(pygame.display.get_wm_info()["window"])
        while True:
            event = pygame.event.wait()
            if event.type in (pygame.KEYDOWN, pygame.TEXTINPUT, pygame.KEYUP):
                say(pygame.event.event_name(event.type))
        """
    with Viewer(display, code) as viewer:
        display.do("windowfocus", viewer.says())
        display.do("key", "s")
        assert [viewer.says(), viewer.says()] == ["KeyDown", "KeyUp"]


def test_a_pause_rests_and_still_paints(display: Display, player: tuple[Viewer, int]) -> None:
    viewer, window = player
    display.do("windowfocus", window)
    display.do("key", "space")
    assert viewer.says() == "paused"
    assert display.shows(noise(320, 240))
    display.do("windowunmap", window)
    assert eventually(lambda: not display.pixels().any())
    display.do("windowmap", window)
    assert display.shows(noise(320, 240)), "what was covered is not painted again"
    display.do("windowsize", window, 640, 480)
    larger = cv2.resize(noise(320, 240), (640, 480), interpolation=cv2.INTER_LINEAR)
    assert display.shows(larger), "a window that is resized in a pause is not painted again"
    time.sleep(1)
    display.do("windowfocus", window)
    display.do("key", "space")
    assert float(viewer.says()) < 0.3, "a pause keeps the processor busy"
    assert viewer.says() == "pause"


def test_ctrl_c_is_heard_in_a_pause(display: Display, player: tuple[Viewer, int]) -> None:
    viewer, window = player
    display.do("windowfocus", window)
    display.do("key", "space")
    assert viewer.says() == "paused"
    viewer.process.send_signal(signal.SIGINT)
    assert viewer.ends() != 0
    assert "KeyboardInterrupt" in (viewer.process.stderr.read() if viewer.process.stderr else "")


def test_a_window_that_is_resized_shows_bars(display: Display, player: tuple[Viewer, int]) -> None:
    _, window = player
    display.do("windowmove", window, 0, 0)
    display.do("windowsize", window, 640, 300)
    wanted = np.zeros((800, 1000, 3), np.uint8)
    wanted[:300, 120:520] = cv2.resize(noise(320, 240), (400, 300), interpolation=cv2.INTER_LINEAR)
    assert eventually(lambda: bool((display.pixels() == wanted).all()))
    display.do("windowsize", window, 160, 300)
    wanted[:] = 0
    wanted[90:210, :160] = cv2.resize(noise(320, 240), (160, 120), interpolation=cv2.INTER_AREA)
    assert eventually(lambda: bool((display.pixels() == wanted).all()))


def test_the_button_of_the_window_ends_a_moving_image(display: Display, player: tuple[Viewer, int]) -> None:
    viewer, window = player
    display.press_close_button(window)
    assert viewer.says() == "quit"
    assert viewer.ends() == 0
    assert eventually(lambda: not display.pixels().any())


def test_a_strip_is_on_the_screen_as_it_was_drawn(display: Display, tmp_path: Path) -> None:
    meter = hud.Meter(live=True)
    for _ in range(3):
        meter.add_frame(0.035)
    image = hud.overlay(noise(640, 480), meter, "cpu (onnxruntime)")
    image[:, [0, -1]] = image[[0, -1]] = 255  # its frame is seen on the black screen
    np.save(tmp_path / "image.npy", image)
    with Viewer(display, "Window('limner').show(np.load(sys.argv[1]))", tmp_path / "image.npy"):
        assert display.shows(image)
