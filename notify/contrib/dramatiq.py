"""
Dramatiq: show users their tasks from the moment they are queued until they end.

Needs ``django-notify-live[dramatiq]``.

    from notify.contrib.dramatiq import tracked

    @dramatiq.actor
    @tracked("Importing customers", user="user_id")
    def import_customers(user_id, path, progress):
        for row in progress.track(read(path)):
            store(row)

    import_customers.send(user.pk, path)

Add the middleware to the broker, in the process that sends and in the worker
(https://dramatiq.io/advanced.html#middleware):

    broker.add_middleware(Tracking())
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from django.utils.translation import gettext as _
from dramatiq import ActorNotFound, Middleware

# A broker is created before Django's models are ready, so notify is imported inside functions.

__all__ = ["Tracking", "tracked"]

P = ParamSpec("P")
T = TypeVar("T")

PREFIX = "dramatiq:"


def tracked(
    name: Any, *, user: str | Callable[..., Any] = "user", **options: Any
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Like :func:`notify.tracked`, with the same arguments. Put it below ``@dramatiq.actor``."""
    from notify.tracking import decorator

    return decorator.tracked(name, user=user, **options)


class Tracking(Middleware):
    """
    Reports when a message is queued, is retried or finishes.

    The middleware's place in the list does not matter.

        broker = RedisBroker()
        broker.add_middleware(Tracking())
        dramatiq.set_broker(broker)

    With django-dramatiq, add it to ``MIDDLEWARE`` of ``DRAMATIQ_BROKER``.
    """

    # -- When a message is sent, for the first time or again ----------------------------------------

    def after_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
        name = PREFIX + message.message_id
        if _jobs().current(name):
            _jobs().retried(name)
            _jobs().over(name)
        elif not message.options.get("retries"):
            # A worker sends a delayed message again when it is due, so use the original time.
            made = datetime.fromtimestamp(message.message_timestamp / 1000, UTC)
            function = _function(broker, message)
            _jobs().queued(name, function, message.args, message.kwargs, since=made)

    # -- In the worker -----------------------------------------------------------------------------

    def before_process_message(self, broker: Any, message: Any) -> None:
        attempt = message.options.get("retries", 0) + 1
        _jobs().begun(PREFIX + message.message_id, _function(broker, message), attempt=attempt)

    def after_process_message(
        self,
        broker: Any,
        message: Any,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        job = _jobs().current(PREFIX + message.message_id)
        if job and exception is not None:
            job.detail = job.detail or "".join(traceback.format_exception(exception))

    def after_skip_message(self, broker: Any, message: Any) -> None:
        name = PREFIX + message.message_id
        if _jobs().how(_function(broker, message)):
            # The AgeLimit middleware marks a message as failed before it skips it.
            _jobs().cancelled(
                name, _("It waited too long to be started.") if message.failed else None
            )
        _jobs().over(name)

    # -- At the end, after all other middleware ------------------------------------------------------

    def before_ack(self, broker: Any, message: Any) -> None:
        name = PREFIX + message.message_id
        job = _jobs().current(name)
        if job and job.detail:  # it raised, and was not sent again
            _jobs().failed(name)
        _jobs().over(name)

    def before_nack(self, broker: Any, message: Any) -> None:
        name = PREFIX + message.message_id
        function = _function(broker, message)
        if function is None or _jobs().how(function):  # an unknown actor may be a tracked function
            _jobs().failed(name)
        _jobs().over(name)


def _jobs() -> Any:
    from notify.tracking import jobs

    return jobs


def _function(broker: Any, message: Any) -> Any:
    """Returns the function that a message runs; None if this process does not know the actor."""
    try:
        return broker.get_actor(message.actor_name).fn
    except ActorNotFound:
        return None
