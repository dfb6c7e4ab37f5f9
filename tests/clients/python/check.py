"""Uploads, starts, waits and cancels with the client that openapi-python-client has generated."""

import json
import os

from forge_client import AuthenticatedClient
from forge_client.api.runs import cancel_run, show_run
from forge_client.api.workflows import start_run, upload_component
from forge_client.models import (
    ErrorBody,
    ErrorCode,
    NewRun,
    RegisteredComponent,
    StartedRun,
    WorkflowRecord,
    WorkflowStatus,
)
from forge_client.types import File

client = AuthenticatedClient(base_url=os.environ["SERVER"], token=os.environ["API_KEY"])

with open(os.environ["COMPONENT"], "rb") as component:
    registered = upload_component.sync(client=client, body=File(payload=component))
assert isinstance(registered, RegisteredComponent), registered
assert registered.created, registered
name = registered.workflows[0].name


def start(run: str, **query):
    return start_run.sync(name, client=client, body=NewRun(input_=json.loads(os.environ[run])), **query)


finished = start("QUICK", wait=60.0)
assert isinstance(finished, WorkflowRecord), finished
assert finished.status is WorkflowStatus.COMPLETED, finished

started = start("SLEEPING")
assert isinstance(started, StartedRun), started
cancelling = cancel_run.sync(started.run_id, client=client)
assert isinstance(cancelling, WorkflowRecord), cancelling
cancelled = show_run.sync(started.run_id, client=client, wait=60.0)
assert isinstance(cancelled, WorkflowRecord), cancelled
assert cancelled.status is WorkflowStatus.COMPENSATED, cancelled

refused = start_run.sync("nothing", client=client, body=NewRun())
assert isinstance(refused, ErrorBody), refused
assert refused.error.code is ErrorCode.UNKNOWN_WORKFLOW, refused

print(json.dumps({"finished": str(finished.id), "cancelled": str(cancelled.id)}))
