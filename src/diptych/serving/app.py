"""The ASGI application: one request in, one response out, and never a traceback."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import perf_counter

from diptych.core.errors import DataError, MissingExtraError
from diptych.inference.bundle import Bundle
from diptych.serving.body import CLOSE, Limits, read_body
from diptych.serving.messages import (
    CROWDED,
    CrowdedError,
    DisconnectedError,
    MediaTypeError,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    failure,
    json_response,
    respond,
)
from diptych.serving.metrics import Metrics
from diptych.serving.routes import Route, Routes, find, make_routes

UNKNOWN = "other"
DEFECT = {"error": "a defect of the server", "hint": "its log has the details"}
STOPPING = Response(body=b'{"error":"the server is stopping","hint":""}', status=503, headers=CLOSE)

logger = logging.getLogger(__name__)


class Application:
    """Serves models; owns the counts of what it answered.

    Args:
        models: The models by the name they are served under.
        limits: What one request may take.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        models: Mapping[str, Bundle],
        limits: Limits,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._metrics = Metrics()
        self._routes: Routes = make_routes(models, self._metrics.response)
        self._limits = limits
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Args:
            scope: The ASGI scope of an HTTP request.
            receive: Gives the body.
            send: Takes the response.
        """
        started = self._clock()
        name = UNKNOWN
        try:
            route = find(self._routes, scope["method"], scope["path"])
            name = route.path
            response = await self._answer(route, scope, receive)
        except DisconnectedError:
            return
        except DataError as error:
            response = failure(error)
        except MissingExtraError as error:
            response = failure(MediaTypeError(error.message, error.hint))
        except asyncio.CancelledError:
            response = STOPPING
        except Exception:
            logger.exception("a request to %s failed", name)
            response = json_response(DEFECT, 500)
        self._metrics.record(name, response.status, self._clock() - started)
        await respond(send, response)

    async def _answer(self, route: Route, scope: Scope, receive: Receive) -> Response:
        is_crowded = scope.get("state", {}).get(CROWDED)
        if is_crowded and route.method == "POST":  # what is known beforehand is always answered
            raise CrowdedError("the server has too many connections", "try again later", CLOSE)
        headers = dict(scope["headers"])
        body = b"" if route.method == "GET" else await read_body(headers, receive, self._limits)
        client, _ = scope.get("client") or ("", 0)
        request = Request(headers=headers, body=body, client=client, receive=receive)
        response = await route.answer(request)
        return replace(response, headers=response.headers + CLOSE) if is_crowded else response
