"""What a program's own handlers of `llm.infer` and `llm.stream` see, and may answer.

Owns: `handled`: requests, replies and failures as tables; `asked_for`: the tools that a handler
asks for in a model's place. Refuses: to change a request that is on its way.
"""

from __future__ import annotations

from typing import Any

from omega.bindings.base import Bindings, Table, keyword_table, of_kind, shown
from omega.bindings.json_data import from_json, to_json
from omega.errors import LispTypeError, LLMError
from omega.lisp.data import Keyword, Pair, list_items, to_list
from omega.lisp.primitives import check
from omega.lisp.table import HashTable
from omega.llm import LLMReply, LLMRequest

_TOOL_CALLS, _TEXT = Keyword.of("tool-calls"), Keyword.of("text")


def handled(b: Bindings, table: Table) -> None:
    of_request = of_kind(LLMRequest, "a request of a model")

    def request_table(request: Any) -> HashTable:
        """(llm.request->table request) -> what a handler of llm.infer is asked, as a hash table:
        :prompt, the text of the last turn, :messages, :system, :model, :temperature, :max-tokens,
        :stop, :schema, :tools, :thinking, :effort; #f where it says nothing
        """
        asked = of_request("llm.request->table", request)
        return keyword_table(
            {
                "prompt": asked.prompt_text,
                "messages": to_list([from_json(turn, b.rt.charge) for turn in asked.turns()]),
                "system": _or_false(asked.system),
                "model": _or_false(asked.model),
                "temperature": _or_false(asked.temperature),
                "max-tokens": _or_false(asked.max_tokens),
                "stop": to_list(list(asked.stop)),
                "schema": False if asked.schema is None else from_json(asked.schema, b.rt.charge),
                "tools": to_list([from_json(tool, b.rt.charge) for tool in asked.tools]),
                "thinking": _or_false(asked.thinking),
                "effort": _or_false(asked.effort),
            }
        )

    def reply_table(reply: Any) -> HashTable:
        """(llm.reply->table reply) -> what (effect 'llm.infer request) answered, as a hash table:
        :text, :thinking, :model, :finish-reason, :tool-calls, :input-tokens, :output-tokens
        """
        if isinstance(reply, str):  # of a handler further out
            reply = LLMReply(reply)
        got = of_kind(LLMReply, "a reply of a model")("llm.reply->table", reply)
        return keyword_table(
            {
                "text": got.text,
                "thinking": got.thinking,
                "model": got.model or False,
                "finish-reason": got.finish_reason,
                "tool-calls": to_list(
                    [from_json(call.as_message(), b.rt.charge) for call in got.tool_calls]
                ),
                "input-tokens": got.usage.input_tokens,
                "output-tokens": got.usage.output_tokens,
            }
        )

    def error_table(condition: Any) -> HashTable:
        """(llm.error->table condition) -> what is known of a call that failed, as a hash table:
        :model, :attempts, :status (of HTTP), :reason (such as "context"), :throttle (such as
        "quota"), :retry-after in milliseconds, :text, what had come of the answer; #f where unknown
        """
        error = of_kind(LLMError, "a condition of a call of a model")("llm.error->table", condition)
        check.spend(b.rt, len(error.partial or ""))
        wait_s = error.retry_after_s
        return keyword_table(
            {
                "model": _or_false(error.model),
                "attempts": _or_false(error.attempts),
                "status": _or_false(error.status),
                "reason": _or_false(error.reason),
                "throttle": _or_false(error.throttle),
                "retry-after": False if wait_s is None else wait_s * 1000,
                "text": _or_false(error.partial),
            }
        )

    table["llm.error->table"] = error_table
    table["llm.request->table"], table["llm.reply->table"] = request_table, reply_table


def asked_for(b: Bindings, answer: Any, step: int) -> Any:
    """A handler's answer as a reply, when it is a table that asks for tools:
    {:text "" :tool-calls (list {:name "search" :arguments {...}})}. Others are left as they are.
    """
    if not isinstance(answer, HashTable) or _TOOL_CALLS not in answer:
        return answer
    from omega.llm.messages import ToolCall

    listed = answer[_TOOL_CALLS]
    items = list_items(listed) if isinstance(listed, Pair) else None
    made = []
    for at, item in enumerate(items or ()):
        call = to_json(b, item) if isinstance(item, HashTable) else {}
        name, arguments = call.get("name"), call.get("arguments", {})
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise LispTypeError(
                f"a handler of `llm.infer` asked for a tool by {shown(item)}",
                hint='write {:name "search" :arguments {"words" "x"}}',
            )
        made.append(ToolCall(call.get("id") or f"call_{step}_{at}", name, arguments))
    text = answer.get(_TEXT, "")
    return LLMReply(text, finish_reason="tool_calls" if made else "stop", tool_calls=made)


def _or_false(value: Any) -> Any:
    return False if value is None else value
