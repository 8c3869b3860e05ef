"""Owns the chat templates: messages become the text that a model was trained to answer, as the model's files say.

The dialect is the transformers library's: Jinja in a sandbox, with the few names that published templates use. Needs
jinja2, of the extra `http`.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from splitwiser.config.schema import Settings
from splitwiser.errors import InvalidRequest, StartupError
from splitwiser.text.model_files import ModelFiles

Message = Mapping[str, Any]
PLAIN = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"
"""The sim engine's."""


class ChatTemplate:
    """A template. special_tokens: names such as bos_token, and their text."""

    def __init__(self, source: str, special_tokens: Mapping[str, str] | None = None) -> None:
        """Raises jinja2's TemplateError for a source that is no template."""
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlocks, loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now, **(special_tokens or {})}
        self._template = environment.from_string(source)

    def render(self, messages: Sequence[Message], /, *, add_generation_prompt: bool = True, **names: Any) -> str:
        """The prompt's text, special tokens included. names: for the template. Raises InvalidRequest."""
        flat = [_flat(message, place) for place, message in enumerate(messages)]
        try:
            return self._template.render(
                {"tools": None, "documents": None, **names}, messages=flat, add_generation_prompt=add_generation_prompt
            )
        # A template may do anything with what it is given, and so fail in any way.
        except Exception as error:
            cause = f"the model's chat template does not take them: {error}"
            raise InvalidRequest(cause, field="messages", help="send roles and contents that the model knows") from None


def load_chat_template(settings: Settings) -> ChatTemplate | None:
    """The served model's; None when it has none. May block on the hub. Raises StartupError when it is broken."""
    if settings.engine.kind == "sim":
        return ChatTemplate(PLAIN)
    files = ModelFiles(settings.engine.model)
    path = files.find("tokenizer_config.json")
    config = files.read_json(path) if path else {}
    source = _source(files, config)
    if source is None:
        return None
    try:
        return ChatTemplate(source, _special_tokens(config))
    except TemplateError as error:
        cause = f"has a broken chat template: {error}"
        raise files.broken(cause, help="fetch or save the model again") from error


def _source(files: ModelFiles, config: Mapping[str, Any]) -> str | None:
    if path := files.find("chat_template.jinja"):
        return path.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if template is None and (path := files.find("chat_template.json")):
        template = files.read_json(path).get("chat_template")
    if isinstance(template, list):
        # Several by name, for tools or retrieval.
        template = next((entry["template"] for entry in template if entry.get("name") == "default"), None)
    if template is not None and not isinstance(template, str):
        raise _broken(files)
    return template


def _broken(files: ModelFiles) -> StartupError:
    return files.broken("has a chat template that is no text", help="fetch or save the model again")


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    tokens = {name: value for name, value in config.items() if name.endswith("_token")}
    texts = {name: value.get("content") if isinstance(value, dict) else value for name, value in tokens.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _flat(message: Message, place: int) -> Message:
    """The message with its content as one text. Raises InvalidRequest for parts that are no text."""
    where = f"messages[{place}]"
    if not isinstance(message.get("role"), str):
        raise InvalidRequest(f"{where} has no role", field="messages", help="give each message a role and a content")
    content = message.get("content")
    if content is None or isinstance(content, str):
        return {**message, "content": content or ""}
    parts = content if isinstance(content, list) else [None]
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidRequest(f"{where} has content that is no text", field="messages", help="send text parts only")
    return {**message, "content": "\n".join(str(text) for text in texts)}


class _GenerationBlocks(Extension):
    """{% generation %} marks an assistant's own words for training; here it is only its body."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, sort_keys: bool = False) -> str:
    # Jinja's own escapes what HTML would read.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, sort_keys=sort_keys)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)
