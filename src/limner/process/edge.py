"""The edge of a command: whatever happens inside becomes a sentence on stderr and an exit status.

`LIMNER_DEBUG=1` prints the traceback of what is a fault of limner's, too; with the name of a file in place of 1 the
traceback is added to that file, which is how the tests see that there was none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from ..errors import LimnerError, one_line
from ..masking import masked_text
from . import closed, stop, streams

FAILED = 1  # something that the user can change
FAULT = 70  # something that only limner can: EX_SOFTWARE of sysexits.h
DEBUG = "LIMNER_DEBUG"


def run(command: Callable[[], int | None]) -> NoReturn:
    """Run a command and exit with its status.

    Args:
        command: returns its exit status, None for 0.

    Raises:
        SystemExit: always, unless a signal ends the process.
    """
    closed.open_missing()
    with stop.stoppable(), stop.unwinding(), streams.any_name():
        status = _status(command)
        if stop.came() and status != FAULT and status >= 128:
            stop.end_process()
        raise SystemExit(status)


def _status(command: Callable[[], int | None]) -> int:
    try:
        with streams.whole_output():
            return command() or 0
    except LimnerError as error:
        streams.say(str(error))
    except KeyboardInterrupt:
        if not stop.came():
            streams.say(stop.STOPPED)
        return stop.status()
    except BrokenPipeError:  # the reader of what is printed wants no more
        streams.leave()
    except MemoryError:
        streams.say("there is not enough memory: give fewer or smaller inputs, a smaller model, or a smaller --batch")
    except RecursionError as error:
        return fault(error)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else FAILED
    except Exception as error:
        return fault(error)
    return FAILED


def fault(error: BaseException, what: str = "") -> int:
    """Report an exception that is a fault of limner's; return the exit status for it.

    Args:
        error: the exception.
        what: which input it was, if it was one.
    """
    import traceback

    debug = os.environ.get(DEBUG, "")
    where = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(where[-1].filename)}, line {where[-1].lineno})" if where else ""
    line = " ".join(one_line(masked_text("".join(traceback.format_exception_only(error)).strip())).split())
    text = masked_text("".join(traceback.format_exception(error)))
    if debug not in ("", "0", "1"):
        with suppress(OSError), open(debug, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    elif debug == "1":
        with suppress(OSError, ValueError):
            print(text.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
    advice = "please report it" if debug == "1" else f"please report it, with what {DEBUG}=1 prints"
    subject = f"'{what}' cannot be processed: " if what else ""
    streams.say(f"{subject}a fault of limner, {line[:300]}{place}; {advice}")
    return FAULT
