"""The playground in a real headless browser, under its own security policy."""

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from gateway.governance.budget import Limits
from ops.fake_bedrock.reply import Reply, text_steps
from tests.lambdas.gateway.stack import PATIENCE_SECONDS, GatewayStack

CHROMIUM = shutil.which("chromium")

PATIENCE_MILLISECONDS = 1000 * PATIENCE_SECONDS

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed.")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # A container has no user namespaces for the browser's own sandbox, and often too little
        # shared memory for its pages.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage"],
            timeout=PATIENCE_MILLISECONDS,
        )
        expect.set_options(timeout=PATIENCE_MILLISECONDS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(browser: Browser, gateway: GatewayStack, complaints: list[str]) -> Iterator[Page]:
    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MILLISECONDS)
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(gateway.url)
    yield page
    page.close()


def connect(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Connect").click()


@needs_browser
def test_an_answer_streams_with_tokens_cost_and_budget(
    page: Page, gateway: GatewayStack, complaints: list[str]
) -> None:
    gateway.bedrock.script(Reply([*text_steps("Once ", "upon ", "a time.")]))
    connect(page, gateway.new_key(limits=Limits(requests_per_day=5)))
    page.get_by_label("Model").select_option("smart")
    page.get_by_label("Prompt").fill("Tell me a story.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#answer")).to_have_text("Once upon a time.")
    expect(page.locator("#input-tokens")).to_have_text("10")
    expect(page.locator("#output-tokens")).to_have_text("20")
    # 10 tokens at 3 and 20 at 15 micro-USD.
    expect(page.locator("#cost")).to_have_text("$0.000330")
    row = page.locator("#budgets tbody tr", has_text="day").filter(has_text="requests")
    expect(row.first).to_contain_text("4")
    assert complaints == []


@needs_browser
def test_an_answer_can_be_stopped(page: Page, gateway: GatewayStack) -> None:
    steps = text_steps("Once ", "upon ", "a time.")
    gateway.bedrock.script(Reply([*steps[:2], {"wait": "stopped"}, *steps[2:]]))
    connect(page, gateway.key)
    page.get_by_label("Model").select_option("smart")
    page.get_by_label("Prompt").fill("Tell me a story.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#answer")).to_have_text("Once ")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    gateway.bedrock.gate("stopped").set()
    expect(page.get_by_role("alert")).to_be_hidden()


@needs_browser
def test_what_goes_wrong_is_said(page: Page, gateway: GatewayStack) -> None:
    connect(page, "lp_nobody_nothing")
    expect(page.get_by_role("alert")).to_contain_text("key")
    connect(page, gateway.key)
    gateway.bedrock.script(Reply(text_steps("par", "tial")[:2]))
    page.get_by_label("Model").select_option("smart")
    page.get_by_label("Prompt").fill("Hello")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("broke off before its end")
    expect(page.locator("#answer")).to_have_text("par")


@needs_browser
def test_text_of_a_model_is_no_markup(
    page: Page, gateway: GatewayStack, complaints: list[str]
) -> None:
    gateway.bedrock.script(Reply(text_steps("<img src=x onerror=alert(1)>")))
    connect(page, gateway.key)
    page.get_by_label("Model").select_option("smart")
    page.get_by_label("Prompt").fill("Hello")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#answer")).to_have_text("<img src=x onerror=alert(1)>")
    assert page.locator("#answer img").count() == 0
    assert complaints == []


@pytest.mark.parametrize("path", ["/", "/playground/playground.js", "/playground/playground.css"])
def test_nothing_may_come_from_elsewhere(gateway: GatewayStack, path: str) -> None:
    with gateway.http() as http:
        del http.headers["Authorization"]
        response = http.get(path)
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(src|href|url|import|fetch)\W+https?:", response.text)


@pytest.mark.parametrize("name", ["__init__.py", "..%2fapp.py", "nothing.js"])
def test_no_other_file_is_served(gateway: GatewayStack, name: str) -> None:
    with gateway.http() as http:
        assert http.get(f"/playground/{name}").status_code == 404
