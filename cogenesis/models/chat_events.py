"""Reading the answers of OpenAI-style endpoints, streamed or whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cogenesis.models.reply_reader import ReplyReader
from cogenesis.wire import Reply


def read_chat(events: Iterator[Reply], reader: ReplyReader) -> Iterator[str]:
    """The texts of `chat/completions` or `completions` events, in order.

    Understands streamed chunks (`delta.content`, or `text` of a completion) and the single
    object of a server that ignores `stream`. Hidden reasoning is not part of the text.

    Raises:
        ModelError or CloudError: an event of another shape, an error of the server, no text
            at all, or an end without `finish_reason` (cut off in mid-stream).
    """
    written, finished = False, False
    for event in events:
        reader.refuse_error(event)
        for choice in reader.items(event.get("choices"), "choices")[:1]:
            fields = reader.mapping(choice, "choices[0]")
            text = _text_of(fields, reader)
            if text:
                written = written or not text.isspace()
                yield text
            reason = fields.get("finish_reason")
            if reason == "content_filter":
                raise reader.fault("withheld its answer (content filter)")
            finished = finished or isinstance(reason, str)
    if not finished:
        raise reader.fault("was cut off in mid-stream")
    if not written:
        raise reader.fault("answered with an empty text")


def _text_of(choice: dict[str, Any], reader: ReplyReader) -> str:
    for field in ("delta", "message"):
        if choice.get(field) is not None:
            content = reader.mapping(choice[field], field).get("content")
            return "" if content is None else reader.text(content, "content")
    text = choice.get("text")
    return "" if text is None else reader.text(text, "text")
