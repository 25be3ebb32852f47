"""Start the daemon: which command, and how it outlives the program that starts it."""

from __future__ import absolute_import

import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

from . import places
from .compat import PYTHON_2, TEXT, as_text
from .errors import ConnectionLost, NotStarted
from .zmtp import clock

MYPY = False
if MYPY:
    from typing import Any, Callable, Dict, List, Mapping, Optional, TypeVar

    T = TypeVar("T")
    Attempt = Callable[[float, Callable[[], None]], T]
    Waiting = Optional[Callable[[str], object]]

ARGUMENTS = ["serve", "--by-client"]
# Nobody answering for that long is taken for dead: the daemon's thread for that has nothing else to
# do.
ATTEMPT_SECONDS = 5.0
# A daemon that says nothing so many times is stopped, or is something else.
_SILENCES = 2
# A command that ends well so many times, of which nothing is seen for so long, starts no daemon.
_ENDS = 3
_SIGN_SECONDS = 8.0
# A process that ends well found another daemon there, and one that was woken may have been on its
# way to end: if that one is gone, we try once more.
_AGAIN_SECONDS = 1.0
_KNOCK_SECONDS = 1.0
_LOOK_SECONDS = 0.05
LOG_LINES = 10
_LOG_TAIL_BYTES = 16 * 1024
_DISK_BYTES = 64 * 1024


def find_command(environ=os.environ):
    # type: (Mapping[str, str]) -> List[str]
    """Return the command that runs `vae-balance`, without arguments of its own.

    The first of: $VAE_BALANCE_COMMAND (a path, or a JSON list of strings), "command" (such a list)
    in client.json of the config folder, the vae_balance package of this Python, and vae-balance
    among the programs of $PATH.

    Raises:
        NotStarted: there is none, or what is set is not a command.
    """
    chosen = environ.get("VAE_BALANCE_COMMAND")
    if chosen:
        if not chosen.lstrip().startswith("["):
            # A bare name is looked for in $PATH; a path is not to depend on the daemon's folder.
            return [os.path.abspath(chosen) if os.path.dirname(chosen) else chosen]
        return _command_of(chosen, "VAE_BALANCE_COMMAND")
    settings = os.path.join(places.config_folder(environ), "client.json")
    if os.path.exists(settings):
        return _command_of_settings(settings)
    if sys.executable and _has_daemon():
        return [sys.executable, "-m", "vae_balance"]
    program = _program("vae-balance", environ)
    if program is None:
        raise NotStarted(
            "VAE Balance's daemon is not installed where this program can find it: install it, "
            "or set VAE_BALANCE_COMMAND to the path of vae-balance"
        )
    return [program]


def reach(attempt, command=None, timeout=60.0, waiting=None, environ=os.environ):
    # type: (Attempt[T], Optional[List[str]], float, Waiting, Mapping[str, str]) -> T
    """Reach the daemon, waking or starting it when nobody answers.

    Args:
        attempt: called again and again, with a time-out in seconds and what it is to call each
            half second or oftener while it waits; raises ConnectionLost as long as there is no
            daemon to talk to.
        command: what runs `vae-balance`, by default `find_command()`.
        timeout: seconds for the daemon to come up.
        waiting: called now and then with a line for people; what it raises ends the waiting.
        environ: the environment that says where things lie, and that the daemon gets.

    Returns:
        What `attempt` returns.

    Raises:
        NotStarted: the daemon cannot be started, or ended at once, or does not answer in time;
            with the last lines of its log.
    """
    deadline = clock() + timeout
    log_start = log_size(environ)
    process = None  # type: Optional[subprocess.Popen[bytes]]
    started = clock() - 2 * _AGAIN_SECONDS
    signs, last_sign = _signs(environ), clock()
    silences = starts = 0

    def tell():
        # type: () -> None
        if waiting is not None:
            waiting("Starting VAE Balance's daemon: %d s" % (clock() - deadline + timeout))

    while True:
        status = process.returncode if process else None
        begun = clock()
        try:
            return attempt(max(1.0, min(ATTEMPT_SECONDS, deadline - clock())), tell)
        except ConnectionLost as error:
            reason = error.message
        if clock() - begun > 0.9 * ATTEMPT_SECONDS:
            silences += 1
        if signs != _signs(environ):
            signs, last_sign = _signs(environ), clock()
        if status:
            reason = disk_trouble(environ) or "it ended with status %d" % status
            raise _not_started(reason, log_start, environ)
        if status == 0 and silences >= _SILENCES:
            raise _not_started(
                "one runs already, but does not answer: end it%s, then try again" % _who(environ),
                log_start,
                environ,
            )
        if status == 0 and starts >= _ENDS and clock() - last_sign > _SIGN_SECONDS:
            raise _not_started(
                "%s ends without starting it: %s"
                % (as_text((command or find_command(environ))[0]), reason),
                log_start,
                environ,
            )
        if clock() > deadline:
            raise _not_started(
                "no answer within %d seconds: %s" % (timeout, reason), log_start, environ
            )
        on_its_way = process is not None and status is None
        if not on_its_way and clock() - started > _AGAIN_SECONDS:
            started = clock()
            if not wake_daemon(environ):
                process = start_daemon(command or find_command(environ), environ)
                starts += 1
        tell()
        time.sleep(_LOOK_SECONDS)


def _signs(environ):
    # type: (Mapping[str, str]) -> List[Optional[float]]
    """Return when the files last changed that a daemon touches while it starts."""
    times = []  # type: List[Optional[float]]
    for path in (places.lock_file(environ), places.connection_file(environ)):
        try:
            times.append(os.path.getmtime(path))
        except OSError:
            times.append(None)
    return times


def _who(environ):
    # type: (Mapping[str, str]) -> str
    """Return which process the lock file names, for people."""
    try:
        with io.open(places.lock_file(environ), "rb") as file:
            name = file.read(20).decode("ascii", "replace").strip()
    except (OSError, IOError):
        return ""
    return " (pid %s)" % name if name.isdigit() else ""


def disk_trouble(environ=os.environ):
    # type: (Mapping[str, str]) -> str
    """Return why nothing can be written to the state folder, for people; "" if it can be."""
    folder = places.state_folder(environ)
    try:
        _make_folder(folder)
        number, path = tempfile.mkstemp(prefix=".vae-balance-", dir=folder)
        try:
            os.write(number, b"\0" * _DISK_BYTES)
        finally:
            os.close(number)
            os.remove(path)
    except (OSError, IOError) as error:
        reason = as_text(error.strerror or error)
        return "nothing can be written to %s: %s" % (as_text(folder), reason)
    return ""


def _not_started(reason, log_start, environ):
    # type: (str, int, Mapping[str, str]) -> NotStarted
    log = log_tail(environ, log_start)
    message = "VAE Balance's daemon could not be started: %s" % reason
    if log:
        message += "; its log ends:\n%s" % log
    return NotStarted(message, log)


def wake_daemon(environ=os.environ):
    # type: (Mapping[str, str]) -> bool
    """Knock where systemd listens, which starts the daemon; False where it does not.

    A sandbox that cannot start programs outside of it can do this.
    """
    if not hasattr(socket, "AF_UNIX"):
        return False
    knock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        knock.settimeout(_KNOCK_SECONDS)
        knock.connect(places.wake_socket(environ))
    except (OSError, IOError):  # nobody listens; or the path is longer than sockets' may be
        return False
    finally:
        knock.close()
    return True


def start_daemon(command, environ=os.environ):
    # type: (List[str], Mapping[str, str]) -> subprocess.Popen[bytes]
    """Start the daemon detached from this program and its terminal, its output going to the log.

    Raises:
        NotStarted: the command cannot be run, or there is no place for the log.
    """
    arguments = [_native(part) for part in command] + ARGUMENTS
    folder = places.state_folder(environ)
    try:
        _make_folder(folder)
        log = os.open(places.log_file(environ), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except (OSError, IOError) as error:
        raise NotStarted(
            "nothing can be written to %s: %s; set VAE_BALANCE_STATE to a folder that can"
            % (as_text(folder), as_text(error.strerror or error))
        )
    try:
        try:
            options = _detached()
            # The folder that this program happens to run in is neither to be held on to for the
            # daemon's lifetime, nor a place to import modules from.
            options["cwd"] = folder
            options["env"] = _environment(command, environ)
            with open(os.devnull, "rb") as nothing:
                process = subprocess.Popen(
                    arguments, stdin=nothing, stdout=log, stderr=log, **options
                )
        finally:
            os.close(log)
    except (OSError, IOError) as error:
        raise NotStarted("cannot start %s: %s" % (arguments[0], as_text(error.strerror or error)))
    # Somebody has to take its exit status, or it stays a zombie as long as this program runs; and
    # only one, or Python 2 loses it: others look at `returncode` and do not call `poll`.
    waiter = threading.Thread(target=process.wait, name="vae-balance-daemon")
    waiter.daemon = True
    waiter.start()
    return process


def _make_folder(folder):
    # type: (str) -> None
    try:
        os.makedirs(folder, 0o700)
    except OSError:
        if not os.path.isdir(folder):  # another client may have made it just now
            raise


def _detached():
    # type: () -> Dict[str, Any]
    """Return options of Popen for a process that neither our terminal nor our end can end."""
    options = {"close_fds": sys.platform != "win32"}  # type: Dict[str, Any]
    if sys.platform == "win32":
        # CREATE_NEW_PROCESS_GROUP: no Ctrl-C from our console. CREATE_NO_WINDOW: a hidden one.
        options["creationflags"] = 0x00000200 | 0x08000000
    elif PYTHON_2:
        options["preexec_fn"] = os.setsid
    else:
        options["start_new_session"] = True
    return options


def log_tail(environ=os.environ, since=0):
    # type: (Mapping[str, str], int) -> str
    """Return the last lines of the daemon's log, of what follows the first `since` bytes of it."""
    try:
        with io.open(places.log_file(environ), "rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(size - _LOG_TAIL_BYTES, since if since <= size else 0))
            text = log.read(_LOG_TAIL_BYTES).decode("utf-8", "replace")
    except (OSError, IOError):
        return ""
    return "\n".join(text.splitlines()[-LOG_LINES:])


def log_size(environ=os.environ):
    # type: (Mapping[str, str]) -> int
    """Return the bytes that the daemon's log has now."""
    try:
        return os.path.getsize(places.log_file(environ))
    except OSError:
        return 0


def _command_of(text, place):
    # type: (str, str) -> List[str]
    """Return the list that a text in JSON is."""
    try:
        command = json.loads(text)
    except ValueError:
        command = None
    return _checked(command, place)


def _command_of_settings(path):
    # type: (str) -> List[str]
    try:
        with io.open(path, encoding="utf-8") as file:
            settings = json.load(file)
    except (OSError, IOError, ValueError) as error:
        raise NotStarted("cannot read %s: %s" % (path, error))
    return _checked(settings.get("command") if isinstance(settings, dict) else None, path)


def _checked(command, place):
    # type: (Any, str) -> List[str]
    is_list = isinstance(command, list) and command
    if is_list and all(isinstance(part, TEXT) and part for part in command):
        return list(command)
    raise NotStarted('%s: the command must be a list such as ["/opt/vb/vae-balance"]' % place)


def _has_daemon():
    # type: () -> bool
    """Tell whether this Python can run the daemon, which needs a newer one than its clients do."""
    if sys.version_info < (3, 10):
        return False
    import importlib.util

    return importlib.util.find_spec("vae_balance") is not None


def _program(name, environ):
    # type: (str, Mapping[str, str]) -> Optional[str]
    """Return the path of a program (Python 2 has no shutil.which)."""
    if sys.platform == "win32":
        name += ".exe"
    for folder in environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(folder, name)
        if os.path.isabs(path) and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _environment(command, environ):
    # type: (List[str], Mapping[str, str]) -> Dict[str, str]
    """Return the environment for the daemon, which runs in another folder than this program."""
    passed = dict(environ)
    if passed.get("VAE_BALANCE_STATE"):
        passed["VAE_BALANCE_STATE"] = places.state_folder(environ)
    if command[0] != sys.executable:
        # Those of the Python that a program such as GIMP brings, with its own modules.
        passed.pop("PYTHONHOME", None)
        passed.pop("PYTHONPATH", None)
    elif passed.get("PYTHONPATH"):
        folders = passed["PYTHONPATH"].split(os.pathsep)
        passed["PYTHONPATH"] = os.pathsep.join(os.path.abspath(folder) for folder in folders)
    return passed


def _native(text):
    # type: (Any) -> Any
    """Return a string as the system's calls want it: in Python 2 as bytes."""
    if PYTHON_2 and not isinstance(text, bytes):
        return text.encode(sys.getfilesystemencoding() or "utf-8")
    return text
