"""Custom resources whose function breaks down before it has answered: refused at once.

CloudFormation waits for an answer for an hour by default, and so does ministack. Nobody learns
anything from that wait here: the function's own error is the answer.
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-customresource.html
"""

from contextvars import ContextVar
from typing import Any

from ministack.services import lambda_svc
from ministack.services.cloudformation import custom_resource

_asked_by_cloudformation: ContextVar[bool] = ContextVar("asked_by_cloudformation", default=False)


def install() -> None:
    """Let a function's error fail the resource that it was asked for."""
    invoke = custom_resource.invoke_custom_resource
    execute = lambda_svc._execute_function_with_config_scope

    def invoke_and_mark(*arguments: Any, **named: Any) -> Any:
        marked = _asked_by_cloudformation.set(True)
        try:
            return invoke(*arguments, **named)
        finally:
            _asked_by_cloudformation.reset(marked)

    def execute_and_tell(function: dict[str, Any], event: Any) -> Any:
        result = execute(function, event)
        if _asked_by_cloudformation.get() and result.get("error"):
            token = event["ResponseURL"].rsplit("/", 1)[-1]
            reason = f"{function['config']['FunctionName']}: {result['body']['errorMessage']}"
            custom_resource.deliver_response(token, {"Status": "FAILED", "Reason": reason})
        return result

    custom_resource.invoke_custom_resource = invoke_and_mark
    lambda_svc._execute_function_with_config_scope = execute_and_tell
