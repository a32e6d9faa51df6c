"""Every built page under axe-core: by day and by night on a desk, and on a phone; no violation of any impact."""

import pytest
from visits import look_at

pytestmark = pytest.mark.browser


def test_no_page_shuts_anybody_out(visits):
    wrong = [line for visit in visits for line in visit.violations]
    assert not wrong, "\n".join(wrong)


BROKEN = """<!doctype html><html lang="en"><head><title>Broken</title><style>
html[data-theme="dark"] p { color: #000; background: #111 }
pre { overflow: auto }
</style></head><body><main><h1>Broken</h1><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">
<p>Not to be read in the dark.</p><details><summary>More</summary><a href="#"></a></details>
<pre style="width: min(100%, 600px)">A line of code that is wider than the screen of any phone: wide, wide, wide</pre>
</main></body></html>"""


def test_what_shuts_people_out_is_found(chromium, tmp_path):
    path = tmp_path / "broken.html"
    path.write_text(BROKEN, encoding="utf-8")
    (visit,) = look_at(chromium, [path])
    assert {" ".join(line.split()[1:3]) for line in visit.violations} == {
        "light: image-alt",
        "light: link-name",
        "dark: color-contrast",
        "phone: image-alt",
        "phone: link-name",
        "phone: scrollable-region-focusable",
    }
