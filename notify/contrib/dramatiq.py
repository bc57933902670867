"""
Dramatiq: actors whose users see their messages, from the queue to the end. Needs
``django-notify-live[dramatiq]``.

    from notify.contrib.dramatiq import tracked

    @dramatiq.actor
    @tracked("Importing customers", user="user_id")
    def import_customers(user_id, path, progress):
        for row in progress.track(read(path)):
            store(row)

    import_customers.send(user.pk, path)

The broker is given a middleware, in the process that sends as in the worker
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

# A broker is made before Django's models are ready, so nothing of notify is imported up here.

__all__ = ["Tracking", "tracked"]

P = ParamSpec("P")
T = TypeVar("T")

PREFIX = "dramatiq:"


def tracked(
    name: Any, *, user: str | Callable[..., Any] = "user", **options: Any
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """
    :func:`notify.tracked`, below ``@dramatiq.actor``.

        @dramatiq.actor(max_retries=3)
        @tracked("Importing customers", user="user_id")
        def import_customers(user_id, path, progress):
            for row in progress.track(read(path)):
                store(row)

    Args:
        name, user, options: as of :func:`notify.tracked`.
    """
    from notify.tracking import decorator as jobs

    return jobs.tracked(name, user=user, **options)


class Tracking(Middleware):
    """
    Says of each message what only the broker and its worker know. Its place among the others is all one.

        broker = RedisBroker()
        broker.add_middleware(Tracking())
        dramatiq.set_broker(broker)

    With django-dramatiq it is a line in ``MIDDLEWARE`` of ``DRAMATIQ_BROKER``.
    """

    # -- Where it is sent, for the first time and again --------------------------------------------

    def after_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
        from notify.tracking import decorator as jobs

        name = PREFIX + message.message_id
        if jobs.current(name):
            jobs.retried(name)
            jobs.over(name)
        elif not message.options.get("retries"):
            # A worker sends a delayed one again when it is due.
            made = datetime.fromtimestamp(message.message_timestamp / 1000, UTC)
            function = _function(broker, message)
            jobs.queued(name, function, message.args, message.kwargs, since=made)

    # -- Where it runs -----------------------------------------------------------------------------

    def before_process_message(self, broker: Any, message: Any) -> None:
        from notify.tracking import decorator as jobs

        attempt = message.options.get("retries", 0) + 1
        jobs.begun(PREFIX + message.message_id, _function(broker, message), attempt=attempt)

    def after_process_message(
        self,
        broker: Any,
        message: Any,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        from notify.tracking import decorator as jobs

        job = jobs.current(PREFIX + message.message_id)
        if job and exception is not None:
            job.detail = job.detail or "".join(traceback.format_exception(exception))

    def after_skip_message(self, broker: Any, message: Any) -> None:
        from notify.tracking import decorator as jobs

        name = PREFIX + message.message_id
        if jobs.how(_function(broker, message)):
            # AgeLimit skips what it fails.
            jobs.cancelled(name, _("It waited too long to be started.") if message.failed else None)
        jobs.over(name)

    # -- What has become of it, once all middleware has had its say ----------------------------------

    def before_ack(self, broker: Any, message: Any) -> None:
        from notify.tracking import decorator as jobs

        name = PREFIX + message.message_id
        job = jobs.current(name)
        if job and job.detail:  # it raised, and nobody sends it again
            jobs.failed(name)
        jobs.over(name)

    def before_nack(self, broker: Any, message: Any) -> None:
        from notify.tracking import decorator as jobs

        name = PREFIX + message.message_id
        function = _function(broker, message)
        if function is None or jobs.how(function):  # who does not know it cannot know
            jobs.failed(name)
        jobs.over(name)


def _function(broker: Any, message: Any) -> Any:
    """What a message runs, where this process knows it."""
    try:
        return broker.get_actor(message.actor_name).fn
    except ActorNotFound:
        return None
