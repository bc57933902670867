"""
Private servers for the tests. Each has a free port and a temporary folder, and dies with its
parent.

    with PostgreSQL() as server:
        connect(server.url)
        server.kill()       # like a power cut
        server.restart()

Programs are searched in NOTIFY_TEST_PATH (folders, as in PATH), PATH and the usual system folders.
As root, the databases run as their own system user, because they refuse to run as root.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self, TypeVar

from tests.kit.patience import PATIENCE

PROJECT = Path(__file__).resolve().parent.parent.parent
T = TypeVar("T")

# Drops root, asks the kernel to kill this process when its parent dies, and executes the program. A
# preexec_fn could do the same, but is not safe once the test process has threads.
LEASH = """
import ctypes, os, signal, sys
parent, uid, gid, how, program = *map(int, sys.argv[1:5]), sys.argv[5:]
if os.getuid() == 0 and uid != 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
PR_SET_PDEATHSIG = 1
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, how)
if os.getppid() == parent:  # it may have died before the kernel was asked
    os.execv(program[0], program)
"""


class MissingProgram(Exception):
    """A program is not installed. The message names the command that installs it."""


class ServerFailed(Exception):
    """A server ended or did not answer. The message contains the end of its log."""


def find_program(*names: str, package: str) -> str:
    """Returns the path of the first of these programs that is installed."""
    folders = [
        *os.environ.get("NOTIFY_TEST_PATH", "").split(os.pathsep),
        *os.get_exec_path(),
        *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True),
        "/usr/local/sbin",
        "/usr/sbin",
    ]
    path = os.pathsep.join(filter(None, folders))
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    raise MissingProgram(f"{names[0]} is missing: apt-get install {package}")


def need(get: Callable[[], T]) -> T:
    """Returns what `get` returns. A missing program skips the test, or fails it if all are required."""
    import pytest  # not at the top: tools/programs.py runs before anything is installed

    try:
        return get()
    except MissingProgram as missing:
        if os.environ.get("NOTIFY_TEST_REQUIRE_ALL"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


def find_chromium() -> str:
    return find_program("chromium", "chromium-browser", "google-chrome", package="chromium")


def find_gettext() -> str:
    """Returns the path of msgfmt. Debian's package gettext also has the other programs that Django runs."""
    find_program("xgettext", package="gettext")
    return find_program("msgfmt", package="gettext")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A server process. Start it in a thread that outlives it, because it dies with that thread."""

    user = ""  # the system user that runs it if the tests run as root
    stop_signal = signal.SIGTERM
    orphan_signal = signal.SIGKILL  # sent by the kernel if the tests have died

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.folder: Path | None = None

    def command(self) -> list[str]:
        """The program and its arguments."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Fill the new, empty folder."""

    def ping(self) -> None:
        """Connect. Any exception means that the server is not ready."""
        socket.create_connection(("127.0.0.1", self.port), timeout=1).close()

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name != "PYTHONDEVMODE"}

    @classmethod
    def check(cls) -> None:
        """Raise MissingProgram if the server cannot run on this machine."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything that the program has printed."""
        assert self.folder is not None
        return (self.folder / "log").read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the server. Returns when it answers."""
        if self.folder is None:
            self.check()
            self.folder = Path(tempfile.mkdtemp(prefix="notify-"))
            owner = self._owner()
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            self.prepare()
        self.process = self._popen(self.command())
        self._wait_until_ready()

    def stop(self) -> None:
        """Shut the server down in an orderly way."""
        if self.running:
            self._end(self.stop_signal)

    def kill(self) -> None:
        """End the process as a crash would (kill -9). The folder stays."""
        if self.running:
            self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start again on the same port with the same data. A running server is stopped first."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.stop()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def run(self, *command: str) -> None:
        """Run a program to its end, as the server's system user."""
        if self._popen(list(command)).wait(timeout=PATIENCE):
            raise ServerFailed(f"{command[0]} failed:\n{self.log[-2000:]}")

    def _popen(self, command: list[str]) -> subprocess.Popen[bytes]:
        assert self.folder is not None
        owner = self._owner()
        who = map(str, [os.getpid(), owner.pw_uid, owner.pw_gid, int(self.orphan_signal)])
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-ISc", LEASH, *who, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
                cwd=PROJECT if not self.user else self.folder,
                start_new_session=True,  # Ctrl-C is for the tests, which then end their servers
            )

    def _owner(self) -> pwd.struct_passwd:
        if os.getuid() == 0 and self.user:
            for name in (self.user, "nobody"):
                with contextlib.suppress(KeyError):
                    return pwd.getpwnam(name)
        return pwd.getpwuid(os.getuid())

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.ping()
            except Exception as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    name = type(self).__name__
                    raise ServerFailed(f"{name} did not start:\n{self.log[-2000:]}") from error
            time.sleep(0.05)

    def _end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class PostgreSQL(Server):
    user = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown: ends the open sessions
    orphan_signal = signal.SIGQUIT  # immediate shutdown; a kill would leave shared memory behind

    @classmethod
    def check(cls) -> None:
        cls._program("initdb")

    @staticmethod
    def _program(name: str) -> str:
        # Both programs must have the same version, so both come from the folder of the first.
        initdb = os.path.realpath(find_program("initdb", package="postgresql"))
        return os.path.join(os.path.dirname(initdb), name)

    @property
    def data(self) -> str:
        return f"{self.folder}/data"

    def prepare(self) -> None:
        self.run(
            self._program("initdb"),
            *("-D", self.data, "-U", "notify", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"),
            "--no-sync",
        )

    def command(self) -> list[str]:
        settings = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        settings += ["dynamic_shared_memory_type=mmap"]  # in the server's folder, which is removed
        settings += ["listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}"]
        options = [option for setting in settings for option in ("-c", setting)]
        return [self._program("postgres"), "-D", self.data, "-p", str(self.port), *options]

    def start(self) -> None:
        # After a crash, its child processes need a moment to end, and the start fails until then.
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return super().start()
            except ServerFailed:
                if "still in use" not in self.log[-2000:] or time.monotonic() > deadline:
                    raise

    def ping(self) -> None:
        import psycopg

        psycopg.connect(self.url, connect_timeout=5).close()

    @property
    def url(self) -> str:
        return f"postgresql://notify@{self.address}/postgres"


class MariaDB(Server):
    user = "mysql"

    @classmethod
    def check(cls) -> None:
        cls._programs()

    @staticmethod
    def _programs() -> tuple[str, str]:
        package = "mariadb-server"
        return (
            find_program("mariadb-install-db", package=package),
            find_program("mariadbd", package=package),
        )

    def prepare(self) -> None:
        self.run(
            self._programs()[0],
            *("--no-defaults", f"--datadir={self.folder}/data", "--skip-test-db"),
            *("--auth-root-authentication-method=normal", f"--user={self._owner().pw_name}"),
        )

    def command(self) -> list[str]:
        return [
            self._programs()[1],
            *("--no-defaults", f"--datadir={self.folder}/data", f"--port={self.port}"),
            *("--bind-address=127.0.0.1", f"--socket={self.folder}/socket"),
            *(f"--pid-file={self.folder}/pid", "--skip-name-resolve", "--skip-log-bin"),
            *("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=OFF"),
            "--character-set-server=utf8mb4",
        ]

    def ping(self) -> None:
        import pymysql

        pymysql.connect(host="127.0.0.1", port=self.port, user="root").close()

    @property
    def url(self) -> str:
        return f"mysql://root@{self.address}/"


class Redis(Server):
    @classmethod
    def check(cls) -> None:
        find_program("redis-server", package="redis-server")

    def command(self) -> list[str]:
        return [
            find_program("redis-server", package="redis-server"),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--save", "", "--appendonly", "no"),
        ]

    def ping(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            if not connection.recv(16).startswith(b"+PONG"):
                raise ConnectionError("Redis is loading.")

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"


class Nginx(Server):
    """
    nginx in front of a web process, configured by a file of docs/howto/nginx. Only the addresses
    and paths are replaced, which every site has to adapt.

    Args:
        site: the name of the file.
        upstream: the address of the web process.
        secure: add TLS and HTTP/2 to a file that has neither.
    """

    user = "www-data"
    FILES = PROJECT / "docs" / "howto" / "nginx"
    AROUND = """
        daemon off;
        master_process off;  # one process, so that none is left when it is killed
        pid {folder}/pid;
        error_log stderr;
        events {{}}
        http {{
            access_log {folder}/access.log;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            scgi_temp_path {folder}/scgi;
            uwsgi_temp_path {folder}/uwsgi;
            include {folder}/site.conf;
        }}
    """

    def __init__(self, site: str, upstream: str, *, secure: bool = False) -> None:
        super().__init__()
        self.site = (self.FILES / site).read_text()
        self.upstream = upstream
        if secure:
            certificate = (
                "ssl_certificate /etc/ssl/site.pem; ssl_certificate_key /etc/ssl/site.key;"
            )
            self.site = self.site.replace("listen 80;", f"listen 443 ssl http2; {certificate}")
        self.secure = " ssl" in self.site

    @classmethod
    def check(cls) -> None:
        find_program("nginx", package="nginx-light")

    def prepare(self) -> None:
        assert self.folder is not None
        # The system user of nginx may have no access to the checkout.
        shutil.copy(self.FILES / "notify.conf", self.folder)
        if self.secure:
            import trustme

            certificate = trustme.CA().issue_cert("127.0.0.1", "localhost")
            certificate.cert_chain_pems[0].write_to_path(str(self.folder / "site.pem"))
            certificate.private_key_pem.write_to_path(str(self.folder / "site.key"))
        site = self.site
        for theirs, ours in {
            "listen 80;": f"listen {self.address};",
            "listen 443 ": f"listen {self.address} ",
            "127.0.0.1:8000;": f"{self.upstream};",
            "/etc/nginx/": f"{self.folder}/",
            "/etc/ssl/": f"{self.folder}/",
        }.items():
            site = site.replace(theirs, ours)
        assert self.address in site
        assert self.upstream in site
        (self.folder / "site.conf").write_text(site)
        (self.folder / "nginx.conf").write_text(self.AROUND.format(folder=self.folder))

    def command(self) -> list[str]:
        program = find_program("nginx", package="nginx-light")
        # A prefix of its own, so that it opens no file of the machine's nginx.
        return [program, "-e", "stderr", "-p", f"{self.folder}/", "-c", f"{self.folder}/nginx.conf"]

    @property
    def requests(self) -> str:
        """The lines of the access log."""
        return (Path(f"{self.folder}") / "access.log").read_text()

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.address}"


class Web(Server):
    """A web process that serves an ASGI application, given by its path, from the project's folder."""

    def __init__(self, application: str, env: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.application = application
        self.env = dict(env or {})

    def environment(self) -> dict[str, str]:
        return super().environment() | self.env

    @property
    def url(self) -> str:
        return f"http://{self.address}"


class Daphne(Web):
    def command(self) -> list[str]:
        server = [sys.executable, "-m", "daphne", "-v", "1", "-b", "127.0.0.1"]
        return [*server, "-p", str(self.port), self.application]


class Uvicorn(Web):
    def command(self) -> list[str]:
        server = [sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--log-level", "warning"]
        return [*server, "--port", str(self.port), self.application]


class Hypercorn(Web):
    def command(self) -> list[str]:
        # No worker processes, so that the killed process is the one that serves.
        server = [sys.executable, "-m", "hypercorn", "--workers", "0", "--log-level", "warning"]
        return [*server, "--bind", self.address, self.application]


class Granian(Web):
    """Granian serves in a child of the started process, which would outlive that process."""

    def command(self) -> list[str]:
        server = [sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1"]
        options = ["--log-level", "warning", "--port", str(self.port)]
        return [*server, *options, "tests.kit.leashed:application"]

    def environment(self) -> dict[str, str]:
        return super().environment() | {"NOTIFY_TEST_APPLICATION": self.application}
