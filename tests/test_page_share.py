"""A share link in Chromium: made, used, expired and revoked."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from .axe import serious
from .conftest import RunningServer
from .player_page import OpenPage, PlayerPage
from .samples import ADMIN, PASSWORD, RACE_SLUG

pytest_plugins = ("tests.player_page",)

EXPIRE_ALL = """
from datetime import timedelta
from django.utils import timezone
from sessions_app.models import ShareLink
ShareLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
"""


def open_dialog(owner: PlayerPage) -> None:
    owner.page.keyboard.press("Escape")
    owner.page.get_by_role("button", name="Share").click()
    expect(owner.page.get_by_role("dialog")).to_be_visible()


def new_link(owner: PlayerPage) -> str:
    """Make one in the dialog, which has none yet that counts. Returns: its address."""
    open_dialog(owner)
    dialog = owner.page.get_by_role("dialog")
    expect(dialog.get_by_role("listitem")).to_have_count(0)
    dialog.get_by_label("Valid for").select_option("1 day")
    dialog.get_by_role("button", name="Make link").click()
    expect(dialog.get_by_role("listitem")).to_contain_text("never used")
    expect(dialog).to_contain_text("Copy it now: it is not shown again.")
    assert serious(owner.page) == []
    return dialog.get_by_label("New share link").input_value()


def assert_refused(guest: PlayerPage, why: str) -> None:
    """The open player says why it stopped, and the page, asked for again, what to do."""
    guest.until_page(f"document.body.innerText.includes({why!r})")
    heading = guest.page.get_by_role("heading", name="No access")
    guest.page.reload()
    while not heading.count():
        # What is known of a link is up to two seconds old.
        guest.page.reload()
    main = guest.page.get_by_role("main")
    expect(main).to_contain_text(why)
    expect(main).to_contain_text("Ask whoever sent you the link for a new one.")
    expect(main.get_by_role("link", name="Log in")).to_be_visible()
    assert serious(guest.page) == []


def test_a_link_is_made_used_expires_and_is_revoked(
    open_page: OpenPage, start_server: Callable[..., RunningServer]
) -> None:
    server = start_server()
    server.shell(
        "from sessions_app.models import Session; "
        f"Session.objects.filter(slug={RACE_SLUG!r}).update(access='private')"
    )
    address = f"{server.url}/sessions/{RACE_SLUG}/"
    owner = open_page(address)
    owner.page.fill("#id_username", ADMIN)
    owner.page.fill("#id_password", PASSWORD)
    owner.page.press("#id_password", "Enter")
    owner.page.wait_for_url(address)
    owner.ready()

    stranger = open_page(address)
    expect(stranger.page.get_by_role("heading", name="Log in")).to_be_visible()
    guest = open_page(new_link(owner))
    guest.ready()
    assert "link=" not in guest.page.url
    open_dialog(owner)
    expect(owner.page.get_by_role("dialog").get_by_role("listitem")).to_contain_text("last used")

    server.shell(EXPIRE_ALL)
    assert_refused(guest, "This link has expired")

    other = open_page(new_link(owner))
    other.ready()
    owner.page.get_by_role("button", name="Revoke the link").click()
    expect(owner.page.get_by_role("dialog").get_by_role("listitem")).to_have_count(0)
    assert_refused(other, "This link was revoked")
