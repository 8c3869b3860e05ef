"""Chat templates in the dialect that published models use."""

import json
from pathlib import Path

import pytest

from splitwiser.config.schema import Settings
from splitwiser.errors import InvalidRequest, StartupError
from splitwiser.text.chat_template import PLAIN, ChatTemplate, load_chat_template

HELLO = [{"role": "user", "content": "Hello"}]
CHATML = """{{ bos_token }}{% for message in messages %}
    {% if message.role not in ["user", "assistant", "system"] %}{{ raise_exception("no such role") }}{% endif %}
    {{- "<|im_start|>" + message.role + "\n" }}{% generation %}{{ message.content }}{% endgeneration %}<|im_end|>
{% if loop.index > 8 %}{% break %}{% endif %}
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def test_a_template_renders_messages() -> None:
    template = ChatTemplate(CHATML, {"bos_token": "<s>"})
    text = "<s><|im_start|>user\nHello<|im_end|>\n"
    assert template.render(HELLO, add_generation_prompt=False) == text
    assert template.render(HELLO) == text + "<|im_start|>assistant\n"


def test_names_of_the_request_reach_the_template() -> None:
    template = ChatTemplate("{{ enable_thinking }} {{ tools is none }} {{ messages | tojson }}")
    assert template.render([{"role": "é", "content": "<"}], enable_thinking=False) == (
        'False True [{"role": "é", "content": "<"}]'
    )


def test_parts_of_text_are_one_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert ChatTemplate(PLAIN).render([{"role": "user", "content": parts}]) == "user: a\nb\nassistant:"


def test_a_message_without_content_has_none() -> None:
    assert ChatTemplate(PLAIN).render([{"role": "assistant", "content": None}]) == "assistant: \nassistant:"


@pytest.mark.parametrize(
    ("template", "messages"),
    [
        (PLAIN, [{"content": "x"}]),
        (PLAIN, [{"role": 1, "content": "x"}]),
        (PLAIN, [{"role": "user", "content": 5}]),
        (PLAIN, [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
        (PLAIN, [{"role": "user", "content": ["x"]}]),
        (CHATML, [{"role": "pirate", "content": "x"}]),
        ("{{ messages[0].content.no.such }}", HELLO),
        ("{{ messages[0].__class__.__mro__ }}", HELLO),
        ("{{ messages.append(1) }}", HELLO),
        ("{{ 1 / 0 }}", HELLO),
    ],
)
def test_what_a_template_does_not_take_is_the_callers_to_correct(template: str, messages: list[dict[str, str]]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ChatTemplate(template).render(messages)
    assert caught.value.field == "messages"


def settings(model: Path) -> Settings:
    return Settings.model_validate({"engine": {"kind": "transformers", "model": str(model)}})


def test_the_models_own_file_goes_before_its_tokenizers(tmp_path: Path) -> None:
    assert load_chat_template(settings(tmp_path)) is None
    config = {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "chat_template": "config {{ bos_token }}"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    from_config = load_chat_template(settings(tmp_path))
    assert from_config
    assert from_config.render(HELLO) == "config <s>"
    (tmp_path / "chat_template.jinja").write_text("file {{ eos_token }}")
    from_file = load_chat_template(settings(tmp_path))
    assert from_file
    assert from_file.render(HELLO) == "file </s>"


def test_of_several_templates_the_default_is_taken(tmp_path: Path) -> None:
    templates = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "default"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": templates}))
    template = load_chat_template(settings(tmp_path))
    assert template
    assert template.render(HELLO) == "default"


@pytest.mark.parametrize("broken", ["{% for %}", {"a": 1}])
def test_a_broken_template_is_told_at_the_start(tmp_path: Path, broken: object) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": broken}))
    with pytest.raises(StartupError, match="chat template"):
        load_chat_template(settings(tmp_path))
