"""
Adapters for task queues, one per module, and for htmx (``htmx``).

Users see their tasks from the moment they are queued until they end. Each module of a queue exports
``tracked`` and, except for ``django_tasks``, needs the extra of the same name. It uses the hooks of its queue
(signals, a middleware or a job class) to report to ``notify.tracking.jobs``:

==========================================  =======================================================
when                                        call
==========================================  =======================================================
a job was put into the queue                ``jobs.queued(job, function, args, kwargs)``
a worker is about to run it                 ``jobs.begun(job, function, attempt=…)``
it raised, and will be tried again          ``jobs.retried(job)``
it raised, and will not be tried again      ``jobs.failed(job, detail=traceback)``
it was taken out, expired or was stopped    ``jobs.cancelled(job, message)``
the worker has finished with it, always     ``jobs.over(job)``, last
==========================================  =======================================================

``job`` is ``"<queue>:<id>"``, the same in every process and for every attempt. All reports under this name
write one row, so no handle has to be passed along, and reports may come late, twice or out of order. If
jobs of several users have one name, each user has a row. A report that comes from a process which does not
run the job names no user; then the newest of these rows is written.

- ``function`` is the function of the project. If it is not decorated with ``tracked``, ``queued`` and
  ``begun`` do nothing. Check ``jobs.how(function)`` before you report on a job of another process;
  otherwise every untracked job of the queue costs a useless search for its row.
- A return needs no report, because the tracked function reports it. An exception does not end the job, as
  only the queue knows whether it will be tried again.
- ``attempt`` counts from 1. Without it, a retry takes the number in the row plus one.
- ``retried``, ``failed`` and ``cancelled`` may come from a process that never ran the job, for example
  after its worker was killed.
- ``notify.signals.cancel_asked`` carries the name of a job that its user cancels. Revoke the job with
  ``jobs.take_out(job, revoke)``. If that fails, nothing is lost: a cancelled job does not begin. Nothing is
  revoked while another user waits for a job of the same name. The end of a name of more than 200 characters
  is replaced by a hash, so its job cannot be revoked.
- Call ``notify.tracking.flush()`` before a process exits without running its ``atexit`` handlers.

A call never raises an error if a database or channel layer is down, so that the worker can go on. A
mistake in the arguments of ``tracked`` is logged by ``queued``, and raised when the job runs.

    def on_enqueue(task):
        jobs.queued(f"shop:{task.id}", task.function, task.args, task.kwargs)

    def run(task):
        job = f"shop:{task.id}"
        jobs.begun(job, task.function, attempt=task.tries + 1)
        try:
            return task.function(*task.args, **task.kwargs)
        except Exception:
            (jobs.retried if task.tries < task.max_tries else jobs.failed)(job)
            raise
        finally:
            jobs.over(job)

``celery`` also shows groups and chains as one task: with ``jobs.queued_whole``, and ``begun(…, whole=…)``
and ``jobs.finished`` for each part.
"""
