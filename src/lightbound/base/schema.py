"""Data that users write, checked against a pydantic model; every failure is one error that names the field's path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from .errors import LightboundError, choose_from

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import PydanticCustomError

Model = TypeVar("Model", bound="BaseModel")


def fault(value: object, problem: str, remedy: str) -> PydanticCustomError:
    """What a validator raises where its field cannot be used; `check` adds the path of the field."""
    from pydantic_core import PydanticCustomError

    return PydanticCustomError("fault", "{problem}", {"problem": problem, "remedy": remedy, "value": value})


def check(model: type[Model], data: Any, where: str) -> Model:
    """The model built from plain data. `where` names the document in errors: ``mapping 'binding'``, a file."""
    from pydantic import ValidationError

    try:
        return model.model_validate(data)
    except ValidationError as failure:
        first = failure.errors()[0]
        path = ".".join(str(part) for part in first["loc"] if part != "[key]")
        field = f"{where}: {path}" if path else where
        if first["type"] == "fault":
            told = first.get("ctx", {})
            raise LightboundError(field, told["value"], told["problem"], told["remedy"]) from failure
        if first["type"] == "extra_forbidden":
            remedy = choose_from(_siblings(model, first["loc"]), str(first["loc"][-1]))
            raise LightboundError(field, first["input"], "is not a field here", remedy) from failure
        if first["type"] == "missing":
            raise LightboundError(field, None, "is missing", f"Add {path!r}.") from failure
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, LightboundError):
            raise cause from failure
        raise LightboundError(field, first["input"], _sentence(first["msg"]), "Correct this field.") from failure


def _sentence(message: str) -> str:
    text = message.removeprefix("Value error, ").rstrip(".")
    return text[:1].lower() + text[1:]


def _siblings(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Field names legal beside the last part of the path, as far as the models tell; the top ones otherwise."""
    from pydantic import BaseModel

    current: Any = model
    for part in path[:-1]:
        if not (isinstance(current, type) and issubclass(current, BaseModel)):
            break
        if isinstance(part, str) and part in current.model_fields:
            current = _inner(current.model_fields[part].annotation)
    known = current if isinstance(current, type) and issubclass(current, BaseModel) else model
    return [field.alias or name for name, field in known.model_fields.items()]


def _inner(annotation: Any) -> Any:
    """The model inside ``list[Model]``, ``dict[str, Model]`` or ``Model | None``."""
    from typing import get_args

    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _inner(argument)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return None
