"""The paths of a server: a plain table, made once from the models that are served."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from diptych.core.text import nearest
from diptych.inference.bundle import Bundle
from diptych.serving.answer_v2 import MODEL_VERSION, server_metadata
from diptych.serving.decoding import Decoder
from diptych.serving.infer import infer, metadata
from diptych.serving.messages import (
    MethodError,
    NotFoundError,
    Request,
    Response,
    json_response,
)
from diptych.serving.page import page_response
from diptych.serving.predict import predict

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """What answers one path."""

    path: str
    method: Literal["GET", "POST"]
    answer: Handler


Routes = Mapping[str, Route]


def make_routes(models: Mapping[str, Bundle], metrics: Callable[[], Response]) -> Routes:
    """Make the table of paths.

    Args:
        models: The models by the name they are served under.
        metrics: Gives the answer of ``/metrics``.

    Returns:
        The routes by path.
    """
    page, decoder = page_response(models), Decoder()
    routes = [
        _fixed("/", page),
        Route(path="/metrics", method="GET", answer=partial(_computed, metrics)),
        _fixed("/v2", json_response(server_metadata())),
        _fixed("/v2/health/live", json_response({"live": True})),
        _fixed("/v2/health/ready", json_response({"ready": True})),
    ]
    for name, bundle in models.items():
        routes += _model_routes(name, bundle, decoder)
    if len(models) == 1:
        (bundle,) = models.values()
        answer = partial(predict, bundle=bundle, decoder=decoder)
        routes.append(Route(path="/predict", method="POST", answer=answer))
    return {route.path: route for route in routes}


def find(routes: Routes, method: str, path: str) -> Route:
    """Find what answers a request.

    Args:
        routes: The table.
        method: The HTTP method; HEAD counts as GET.
        path: The decoded path.

    Returns:
        The route.

    Raises:
        NotFoundError: If nothing is at the path.
        MethodError: If the path has another method.
    """
    route = routes.get(path.rstrip("/") or "/")
    if route is None:
        raise NotFoundError(f"nothing is at {path[:200]!r}", nearest(path[:200], routes))
    if route.method != ("GET" if method == "HEAD" else method):
        allowed = "GET, HEAD" if route.method == "GET" else route.method
        allow = ((b"allow", allowed.encode()),)
        raise MethodError(f"{path} takes {allowed}, not {method[:20]}", "", allow)
    return route


def _model_routes(name: str, bundle: Bundle, decoder: Decoder) -> list[Route]:
    description = json_response(metadata(name, bundle))
    ready = json_response({"name": name, "ready": True})
    predicted = partial(predict, bundle=bundle, decoder=decoder)
    routes = [Route(path=f"/v1/{name}/predict", method="POST", answer=predicted)]
    for root in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{MODEL_VERSION}"):
        answer = partial(infer, name=name, bundle=bundle)
        routes.append(_fixed(root, description))
        routes.append(_fixed(f"{root}/ready", ready))
        routes.append(Route(path=f"{root}/infer", method="POST", answer=answer))
    return routes


def _fixed(path: str, response: Response) -> Route:
    return Route(path=path, method="GET", answer=partial(_same, response))


async def _same(response: Response, _request: Request) -> Response:
    return response


async def _computed(make: Callable[[], Response], _request: Request) -> Response:
    return make()
