"""bench.base.hub against a Hub on loopback: what is fetched and pushed, and one line for each fault."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils import _http

from bench.base import hub
from bench.base.errors import InputError
from tests import hub_server
from tests.hub_server import READER, Hub

FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 99, "code.py": b"raise 1", "a.pt": b"x"}
MODEL = hub.Address("model", "mine/srn")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server.hub(monkeypatch, tmp_path / "cache") as server:
        monkeypatch.setattr(file_download.time, "sleep", lambda _: None)  # between attempts
        monkeypatch.setattr(_http.time, "sleep", lambda _: None)
        yield server


def reason(there: hub.Address = MODEL, *patterns: str) -> str:
    """Why a download is refused, in one line."""
    with pytest.raises(InputError) as refused:
        hub.download(there, patterns or ("config.json", "model.safetensors"))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def push(name: str = "mine/srn", *, private: bool = False) -> hub.Address:
    hub.check_push(name, "model", where="--push", private=private)
    content = {"model.safetensors": b"new weights", "config.json": b"{}"}
    there = hub.Address("model", name)
    return hub.push(content, there, private=private, message="srn seed 0", drop=["model.onnx"])


def refused_push(name: str = "mine/srn", **how: bool) -> str:
    with pytest.raises(InputError) as refused:
        push(name, **how)
    assert "\n" not in str(refused.value)
    return str(refused.value)


class TestDownload:
    def test_it_fetches_what_matches_alone_and_the_folder_is_named_by_the_commit(self, server: Hub):
        commit = server.add("model", "mine/srn", FILES)
        folder = hub.download(MODEL, ("config.json", "model.safetensors"))
        assert folder.name == commit
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            name: FILES[name] for name in ("config.json", "model.safetensors")
        }
        assert not [request for request in server.asked if "code.py" in request or "a.pt" in request]

    def test_a_tag_and_a_commit_mean_what_was_there_then(self, server: Hub):
        first = server.add("model", "mine/srn", FILES)
        server.repositories["model", "mine/srn"].tags["v1"] = first
        second = server.add("model", "mine/srn", {"config.json": b"[]"})
        assert hub.download(MODEL, ("*.json",)).name == second
        for revision in ("v1", first):
            folder = hub.download(hub.Address("model", "mine/srn", revision), ("*.json",))
            assert (folder.name, (folder / "config.json").read_bytes()) == (first, b"{}")

    def test_without_network_the_cache_serves_and_what_is_not_in_it_is_refused(
        self, server: Hub, monkeypatch: pytest.MonkeyPatch
    ):
        commit = server.add("model", "mine/srn", FILES)
        hub.download(MODEL, ("config.json",))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        server.asked.clear()
        assert hub.download(MODEL, ("config.json",)).name == commit
        missing = "is not in the cache, and HF_HUB_OFFLINE forbids to ask the Hub; set HF_HUB_OFFLINE=0"
        assert reason(MODEL, "model.safetensors") == f"hf:mine/srn: {missing}"
        assert reason(hub.Address("model", "mine/other")) == f"hf:mine/other: {missing}"
        assert server.asked == []

    def test_where_the_hub_does_not_answer_the_cache_serves_too(
        self, server: Hub, monkeypatch: pytest.MonkeyPatch
    ):
        commit = server.add("model", "mine/srn", FILES)
        hub.download(MODEL, ("config.json",))
        hub_server.point_to("http://127.0.0.1:9", monkeypatch)
        assert hub.download(MODEL, ("config.json",)).name == commit
        line = reason(hub.Address("model", "mine/other"))
        assert line.startswith("hf:mine/other: http://127.0.0.1:9 cannot be reached (")
        assert line.endswith("; check the network and HF_ENDPOINT")

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
    def test_a_damaged_file_is_refused_deleted_and_fetched_anew(self, server: Hub, name: str):
        server.add("model", "mine/srn", FILES)
        server.damaged[name] = FILES[name][:-1] + b"?"
        assert reason() == (
            f"hf:mine/srn: {name} is damaged: it has not the digest that the Hub states; it was deleted, run "
            "the same command again to fetch it anew"
        )
        server.damaged.clear()
        assert (hub.download(MODEL, (name,)) / name).read_bytes() == FILES[name]

    def test_a_connection_that_ends_too_early_is_a_line(self, server: Hub):
        server.add("model", "mine/srn", FILES)
        server.damaged["model.safetensors"] = b""
        assert reason().startswith(f"hf:mine/srn: {server.url} cannot be reached (")

    @pytest.mark.parametrize(
        ("status", "line"),
        [
            (500, "the Hub answers 500 (so it is); try again later"),
            (403, "your token may not do this; make a token with the right to write"),
            (0, "cannot be reached ("),
        ],
    )
    def test_a_hub_that_fails_is_a_line(self, server: Hub, status: int, line: str):
        server.add("model", "mine/srn", FILES)
        server.fault = lambda request: status if "/api/models" in request else None
        assert line in reason()

    def test_names_and_revisions_that_are_not_there(self, server: Hub):
        server.add("model", "mine/srn", FILES)
        assert reason(hub.Address("model", "mine/snr")) == (
            "hf:mine/snr: the Hub has no such model, or your token cannot see it; check the name, or log in "
            "with hf auth login, or set HF_TOKEN"
        )
        assert reason(hub.Address("model", "mine/srn", "v9")) == (
            "hf:mine/srn@v9: has no revision v9; give a branch, a tag or a commit of it"
        )
        with pytest.raises(InputError, match=r"hf:mine/srn: its commit \w{12} has no model\.onnx"):
            hub.download(MODEL, ("*.json",), needed=("model.onnx",))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hf:srn", "hf:srn: not a repository of the Hub; write ORG/NAME"),
        ("hf:", "hf:: not a repository"),
        ("hf:a/b/c", "hf:a/b/c: not a repository"),
        ("hf:../b", "not a repository"),
        ("hf:a/b--c", "not a repository"),
        ("hf:a/b.", "not a repository"),
        ("hf:a/b@", "hf:a/b@: after @ a branch, a tag or a commit is expected, as in hf:a/b@main"),
        ("hf:a/b@../x", "after @ a branch"),
        ("hf:a/b@x/../y", "after @ a branch"),
    ],
)
def test_an_address_that_means_nothing_is_refused(text: str, line: str):
    with pytest.raises(InputError) as refused:
        hub.address(text, "model")
    assert line in str(refused.value)


class TestPush:
    def test_one_commit_makes_the_repository_and_holds_all_files(self, server: Hub):
        there = push(private=True)
        repository = server.repositories["model", "mine/srn"]
        assert str(there) == f"hf:mine/srn@{repository.commits[-1][0]}"
        assert len(repository.commits) == 2  # that of the new repository, and ours
        assert repository.private
        assert repository.commits[-1][1]["model.safetensors"] == b"new weights"
        assert hub.download(there, ("*.json",)).name == there.revision

    def test_a_file_of_an_earlier_push_that_is_not_of_this_model_goes(self, server: Hub):
        server.add("model", "mine/srn", FILES | {"model.onnx": b"old"})
        push()
        assert "model.onnx" not in server.files("model", "mine/srn")
        assert "code.py" in server.files("model", "mine/srn")

    def test_what_is_pushed_privately_must_not_be_public(self, server: Hub):
        server.add("model", "mine/srn", FILES)
        assert refused_push(private=True) == (
            "hf:mine/srn: exists and is public; make it private there, or leave --private out"
        )
        assert len(server.repositories["model", "mine/srn"].commits) == 1

    def test_tokens_that_are_missing_wrong_or_cannot_write(
        self, server: Hub, monkeypatch: pytest.MonkeyPatch
    ):
        lines = {}
        for token in (READER, "hf_unknown", ""):
            monkeypatch.setenv("HF_TOKEN", token)
            lines[token] = refused_push()
        log_in = "log in with hf auth login, or set HF_TOKEN"
        assert lines[""] == f"hf:mine/srn: needs a token of the Hub; {log_in}"
        assert lines["hf_unknown"] == f"hf:mine/srn: the Hub does not accept your token; {log_in}"
        page = f"make a token with the right to write to it at {server.url}/settings/tokens"
        assert lines[READER] == f"hf:mine/srn: your token can only read; {page}"
        monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
        assert refused_push("other/srn") == f"hf:other/srn: your token may not do this; {page}"
        assert refused_push("srn").startswith("--push srn: not a repository of the Hub; write ORG/NAME")
        assert server.repositories == {}

    def test_no_network(self, server: Hub, monkeypatch: pytest.MonkeyPatch):
        hub_server.point_to("http://127.0.0.1:9", monkeypatch)
        assert refused_push().startswith("hf:mine/srn: http://127.0.0.1:9 cannot be reached (")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert refused_push() == "hf:mine/srn: HF_HUB_OFFLINE forbids to ask the Hub; set HF_HUB_OFFLINE=0"
        assert server.asked == []

    @pytest.mark.parametrize("where", ["/large/", "/commit/", "/preupload/", "/repos/create"])
    @pytest.mark.parametrize("status", [0, 500])
    def test_a_push_that_is_interrupted_is_a_line_and_leaves_no_half_of_it(
        self, server: Hub, where: str, status: int
    ):
        server.add("model", "mine/srn", FILES)
        server.fault = lambda request: status if where in request else None
        said = "the Hub answers 500" if status else "cannot be reached ("
        assert said in refused_push()
        assert server.files("model", "mine/srn") == FILES
