"""A small page to try the gateway with: no framework, nothing loaded from elsewhere."""

from pathlib import Path

from werkzeug.wrappers import Response

from gateway.errors import NotFoundError

FOLDER = Path(__file__).parent
ASSETS = {
    "playground.css": "text/css",
    "playground.js": "text/javascript",
    "playground.svg": "image/svg+xml",
}
# Nothing inline, nothing from elsewhere, nowhere else to talk to, no frames.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


def page() -> Response:
    """Return the page."""
    return Response(
        (FOLDER / "playground.html").read_bytes(), mimetype="text/html", headers=HEADERS
    )


def asset(name: str) -> Response:
    """Return the page's script, style or icon.

    Raises:
        NotFoundError: there is no such file.
    """
    if name not in ASSETS:
        message = f"There is no {name}."
        raise NotFoundError(message)
    return Response((FOLDER / name).read_bytes(), mimetype=ASSETS[name], headers=HEADERS)
