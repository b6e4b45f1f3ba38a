"""What a service needs before its first viewer: tables, an admin login, something to watch."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from sessions_app import uploads
from sessions_app.jobs import fail_interrupted
from sessions_app.locks import remove_leftovers
from sessions_app.models import Session
from streaming.live.storing import store_what_ended

Print = Callable[[str], None]
ADMIN_NAME = "admin"
DEMO_SLUG = "demo"


def prepare(print_line: Print, *, with_demo: bool) -> None:
    """Make the service ready to start. Quick when there is nothing to do.

    Args:
        print_line: called with each line for the operator.
        with_demo: simulate the demo race if it is missing.
    """
    settings.RECORDINGS_DIR.mkdir(parents=True, exist_ok=True)
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        print_line("database     preparing tables")
        call_command("migrate", verbosity=0, interactive=False)
    if interrupted := fail_interrupted():
        print_line(f"imports      {interrupted} had been cut off by a stop and failed")
    remove_leftovers()
    uploads.remove_leftovers()
    for slug in store_what_ended():
        print_line(f"live         {slug} had ended and is stored")
    users = get_user_model().objects
    if not users.filter(is_superuser=True).exists():
        password = secrets.token_urlsafe(12)
        users.create_superuser(ADMIN_NAME, password=password)
        print_line(f"admin login  {ADMIN_NAME} / {password}  (shown once; change it in the admin)")
    if with_demo and not Session.objects.filter(slug=DEMO_SLUG).exists():
        print_line("demo race    simulating, some seconds")
        call_command("demo", slug=DEMO_SLUG)
