"""OME-Zarr by URL: a real S3 server and a plain web server on this machine, whole and failing."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

zarr = pytest.importorskip("zarr")
obstore = pytest.importorskip("obstore")
pytest.importorskip("moto")

from plates import FIELDS, plate  # noqa: E402

from cellqa.enhance import ENHANCERS, enhance_files  # noqa: E402
from cellqa.errors import ImageError  # noqa: E402
from cellqa.io import images_in, open_image  # noqa: E402
from cellqa.io.isolated import open_isolated  # noqa: E402
from cellqa.io.stores import content_hash, remote, state, tells_changes, url_of  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:zarr")
BUCKET = "lab-data"


def free_port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        else:
            pytest.fail("the S3 server did not start")
        import boto3

        boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        ).create_bucket(Bucket=BUCKET)
        yield address
    finally:
        process.kill()
        process.wait()


class Proxy(BaseHTTPRequestHandler):
    """Hands requests on, but answers every n-th, and all for some keys, with an error."""

    upstream = ""
    every = 0
    broken = ""
    count = 0

    def _pass(self) -> None:
        Proxy.count += 1
        if (self.every and Proxy.count % self.every == 0) or (
            self.broken and self.broken in self.path
        ):
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        request = urllib.request.Request(
            self.upstream + self.path, headers=headers, method=self.command
        )
        try:
            answer: Any = urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = answer.headers["Content-Length"] if self.command == "HEAD" else len(body)
            self.send_header("Content-Length", str(length or 0))
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_HEAD = _pass  # noqa: N815

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def store(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Path]]:
    """A plate on this disk and in the store, which is reached through the proxy."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    local = plate(tmp_path / "p.zarr")
    place = Path(f"s3://{BUCKET}/{tmp_path.name}/p.zarr")
    objects = remote(place)
    for path in local.rglob("*"):
        if path.is_file():
            obstore.put(objects, path.relative_to(local).as_posix(), path.read_bytes())
    Proxy.upstream, Proxy.every, Proxy.broken, Proxy.count = server, 0, "", 0
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
    yield local, place
    proxy.shutdown()
    proxy.server_close()


def test_a_path_keeps_its_url() -> None:
    assert url_of(Path("s3://a/b.zarr") / "A/1/0") == "s3://a/b.zarr/A/1/0"
    assert url_of(Path("https://host:8080/b.zarr")) == "https://host:8080/b.zarr"
    assert url_of(Path("s3/b.zarr")) is None


def test_a_store_is_read_as_a_disk_is(
    store: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    local, place = store
    assert images_in(place) == FIELDS
    for opened in (open_image, open_isolated):
        with opened(place / "A/1/1") as file, open_image(local / "A/1/1") as wanted:
            assert file.acquired() == wanted.acquired()
            for index in wanted.planes:
                assert (file.load(index) == wanted.load(index)).all()
    first = state(place / "A/1/0")
    assert first != state(place / "A/1/1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", Proxy.upstream)
    obstore.put(remote(place), "A/1/0/.zattrs", (local / "A/1/0/.zattrs").read_bytes() + b" ")
    assert first != state(place / "A/1/0")


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "scores.csv").open() as file:
        return list(csv.DictReader(file))


def score(place: Path, pred: Path, out: Path, *more: str) -> list[dict[str, str]]:
    arguments = [
        sys.executable,
        "-m",
        "cellqa",
        "score",
        "--gt",
        url_of(place) or str(place),
        "--pred",
        f"te={pred}",
    ]
    arguments += ["--metrics", "psnr", "--no-report", "--out", str(out), *more]
    # a process of its own: workers have the environment that their first process had
    subprocess.run(arguments, check=False, timeout=120, capture_output=True)
    return rows_of(out)


def test_requests_that_fail_are_made_again(store: tuple[Path, Path], tmp_path: Path) -> None:
    local, place = store
    enhance_files(local, tmp_path / "te.zarr", ENHANCERS["te"])
    wanted = score(local, tmp_path / "te.zarr", tmp_path / "a")
    Proxy.every = 10
    found = score(place, tmp_path / "te.zarr", tmp_path / "b")
    assert Proxy.count > 20
    assert found == wanted
    command = [sys.executable, "-m", "cellqa", "te-enhance", str(url_of(place))]
    subprocess.run([*command, str(tmp_path / "te2.zarr")], check=True, timeout=120)
    assert images_in(tmp_path / "te2.zarr") == FIELDS


def test_what_stays_broken_is_one_row(store: tuple[Path, Path], tmp_path: Path) -> None:
    local, place = store
    enhance_files(local, tmp_path / "te.zarr", ENHANCERS["te"])
    Proxy.broken = "/B/2/0/0/"
    rows = score(place, tmp_path / "te.zarr", tmp_path / "o")
    failed = {row["image"].partition("#")[0] for row in rows if row["status"] == "failed"}
    assert failed == {"B/2/0"}, rows
    assert {r["status"] for r in rows if r["image"].startswith("A/1/0")} == {"ok"}


def test_a_web_server_is_a_store(tmp_path: Path) -> None:
    local = plate(tmp_path / "p.zarr", 3)

    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args: Any) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    place = Path(f"http://127.0.0.1:{web.server_port}/p.zarr")
    try:
        assert images_in(place) == FIELDS
        assert state(place / "A/1/0")
        with open_image(place / "A/1/0") as file, open_image(local / "A/1/0") as wanted:
            assert (file.load(file.planes[1]) == wanted.load(wanted.planes[1])).all()
        with pytest.raises(ImageError, match=r"q\.zarr"), open_image(place.parent / "q.zarr"):
            pass
        # which files changed, it does not say: nothing of an earlier run is trusted
        assert not tells_changes(place)
        assert tells_changes(Path("s3://b/p.zarr"))
        assert content_hash(place) != content_hash(place)
        enhance_files(local, tmp_path / "te.zarr", ENHANCERS["te"])
        first = score(place, tmp_path / "te.zarr", tmp_path / "o")
        pixels = zarr.open_array(local / "A/1/0/0", mode="r+")
        pixels[0] = pixels[1]
        again = score(place, tmp_path / "te.zarr", tmp_path / "o", "--resume")
        changed = [a["image"] for a, b in zip(first, again, strict=True) if a["psnr"] != b["psnr"]]
        assert changed == ["A/1/0#t0c0z0"]
    finally:
        web.shutdown()
        web.server_close()
