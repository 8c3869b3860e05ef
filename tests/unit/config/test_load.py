"""Settings come from defaults, file, environment and flags, and every wrong one is told with its origin."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from splitwiser.config.layers import Flag
from splitwiser.config.load import load_settings
from splitwiser.config.schema import Settings
from splitwiser.errors import ConfigurationError


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("SPLITWISER_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str, name: str = "settings.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def failure(config: Path | None = None, *flags: Flag) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(config, flags)
    return str(raised.value)


def test_nothing_set_gives_the_defaults() -> None:
    assert load_settings() == Settings()


def test_a_flag_beats_the_environment_beats_the_file(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("[pool]\npages = 1\npage_tokens = 8\n[router]\nlisten = 'localhost:1'\n")
    monkeypatch.setenv("SPLITWISER_POOL__PAGES", "64")
    monkeypatch.setenv("SPLITWISER_ROUTER__LISTEN", "localhost:2")
    settings = load_settings(path, [Flag("router.listen", "localhost:3", "--listen")])
    assert (settings.pool.page_tokens, settings.pool.pages, settings.router.listen) == (8, 64, "localhost:3")


def test_the_file_in_the_working_folder_is_read_unasked(write: Callable[..., Path]) -> None:
    write("run_dir = 'elsewhere'", "splitwiser.toml")
    assert load_settings().run_dir == Path("elsewhere")


def test_a_section_may_be_one_variable_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITWISER_POOL", '{"pages": 32}')
    assert load_settings().pool.pages == 32


def test_resolved_settings_read_back_as_they_were(write: Callable[..., Path]) -> None:
    settings = load_settings(None, [Flag("pool.pages", "17", "--set")])
    assert load_settings(write(settings.model_dump_json(), "resolved.json")) == settings


@pytest.mark.parametrize("kind", ["file", "environment", "flag"])
def test_an_error_names_field_value_origin_and_remedy(
    kind: str, write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flags, origin = None, [], ""
    if kind == "file":
        path = write("[pool]\npages = 0\n")
        origin = str(path)
    elif kind == "environment":
        monkeypatch.setenv("SPLITWISER_POOL__PAGES", "0")
        origin = "SPLITWISER_POOL__PAGES"
    else:
        flags, origin = [Flag("pool.pages", "0", "--set pool.pages=0")], "--set pool.pages=0"
    text = failure(path, *flags)
    assert text.startswith("pool.pages: ")
    assert "0" in text
    assert origin in text
    assert "help: give a whole number greater than 0: Pages of the one KV pool" in text


def test_the_error_names_the_layer_that_won(write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITWISER_POOL__PAGES", "many")
    text = failure(write("[pool]\npages = 5\n"))
    assert "'many' from the environment variable SPLITWISER_POOL__PAGES" in text


def test_a_wrong_value_that_a_later_layer_replaces_is_no_error(write: Callable[[str], Path]) -> None:
    path = write("[pool]\npages = 0\n")
    assert load_settings(path, [Flag("pool.pages", "4", "--set")]).pool.pages == 4


def test_allowed_values_are_listed(write: Callable[[str], Path]) -> None:
    assert "one of sim, transformers" in failure(write("[engine]\nkind = 'simm'\n"))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[router]\nlistne = 'a:1'\n", "router.listen"),
        ("[routr]\nlisten = 'a:1'\n", "router"),
        ("rundir = 'x'\n", "run_dir"),
        ("[pool]\nworkers = 1\n", "prefill.workers"),
        ("[pool]\nmilk = 1\n", ""),
        ("[coffee]\nmilk = 1\n", ""),
    ],
)
def test_an_unknown_name_in_a_file_is_an_error_with_the_nearest_one(
    text: str, meant: str, write: Callable[[str], Path]
) -> None:
    message = failure(write(text))
    assert "no such setting" in message
    assert f"did you mean {meant}" in message if meant else "remove it; there are " in message


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SPLITWISER_ROUTER_LISTEN", "SPLITWISER_ROUTER__LISTEN"),
        ("SPLITWISER_RUNDIR", "SPLITWISER_RUN_DIR"),
        ("SPLITWISER_ROUTER__LISTN", "router.listen"),
        ("SPLITWISER_RUN_DIR__X", "SPLITWISER_RUN_DIR"),
        ("SPLITWISER_ROUTER__LISTEN__X", "give text"),
        ("SPLITWISER_COFFEE", "unset it"),
    ],
)
def test_an_unknown_variable_is_an_error_with_the_nearest_one(
    variable: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "x")
    text = failure()
    assert variable in text
    assert meant in text


def test_variables_that_kubernetes_sets_for_a_service_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITWISER_ROUTER_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("SPLITWISER_ROUTER_SERVICE_PORT_GRPC", "50051")
    monkeypatch.setenv("SPLITWISER_ROUTER_PORT", "tcp://10.0.0.1:50051")
    monkeypatch.setenv("SPLITWISER_ROUTER_PORT_50051_TCP_ADDR", "10.0.0.1")
    assert load_settings() == Settings()


def test_everything_wrong_is_told_at_once(write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITWISER_FOO", "1")
    monkeypatch.setenv("SPLITWISER_ROUTER", "{broken")
    text = failure(write("[pool]\npages = 0\n"), Flag("decode.workers", "none", "--workers"))
    assert text.startswith("4 settings are wrong")
    for name in ("SPLITWISER_FOO", "SPLITWISER_ROUTER", "pool.pages", "--workers"):
        assert name in text


def test_a_flag_for_a_section_does_not_hide_one_inside_it() -> None:
    flags = [Flag("pool", "5", "--set pool"), Flag("pool.pages", "6", "--set pool.pages")]
    assert load_settings(None, flags).pool.pages == 6


def test_a_section_that_is_a_plain_value_lists_what_belongs_in_it(write: Callable[[str], Path]) -> None:
    assert "a section with pool.pages" in failure(write("pool = 5\n"))


def test_broken_toml_names_file_and_line(write: Callable[[str], Path]) -> None:
    path = write("[pool]\npages = \n")
    text = failure(path)
    assert str(path) in text
    assert "line 2" in text


@pytest.mark.parametrize(("content", "name"), [(b"\xff\xfe", "a.toml"), (b"[1", "a.json"), (b"[1]", "b.json")])
def test_a_file_that_holds_no_settings_is_a_clear_error(content: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert str(path) in failure(path)


def test_a_config_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    text = failure(tmp_path / "absent.toml")
    assert "absent.toml" in text
    assert "No such file" in text


def test_a_password_is_not_printed() -> None:
    text = failure(None, Flag("redis.url", "http://me:secret@host:1", "--set"))
    assert "secret" not in text
    assert "http://me:***@host:1" in text


def test_a_secret_setting_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITWISER_REDIS__PASSWORD", "hunter2")
    monkeypatch.setenv("SPLITWISER_REDIS__URL", "nonsense")
    assert "hunter2" not in failure()
    monkeypatch.setenv("SPLITWISER_REDIS", '{"password": 1234567}')
    assert "1234567" not in failure()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SPLITWISER_REDIS__PASSWD", "hunter2", "did you mean redis.password?"),
        ("SPLITWISER_REDIS_PASSWORD", "hunter2", "did you mean SPLITWISER_REDIS__PASSWORD?"),
        ("SPLITWISER_REDIS", '{"password": "hunter2"', "a section, but not JSON"),
    ],
)
def test_a_mistyped_secret_is_not_printed(name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    text = failure()
    assert "hunter2" not in text
    assert told in text
