# SPDX-License-Identifier: Apache-2.0
"""The report in headless Chromium: it renders what the run's JSON says, alone and without a complaint.

WRITE_REPORT names the program that makes a page of JSON. With WEFT_SCREENSHOTS=FOLDER pictures of
every page are left there. Exit status 77: there is no Chromium (scripts/setup browser).
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import devtools  # noqa: E402
from sample import sample  # noqa: E402

SETTLED = """new Promise((done) => {
  const look = () => document.getElementById("graph").dataset.settled ? done(true) : setTimeout(look, 20);
  look();
})"""
PAINTED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
# How many different colours a canvas holds, and the share of its pixels that hold any.
INK = """((canvas) => {
  const data = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  const inked = data.filter((pixel) => pixel !== 0);
  return { colours: new Set(inked).size, share: inked.length / data.length };
})"""
# How many pixels of the mesh have a state's colour, give or take nothing.
PIXELS_OF = """((name) => {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = report.theme.colours[name];
  probe.fillRect(0, 0, 1, 1);
  const wanted = new Uint32Array(probe.getImageData(0, 0, 1, 1).data.buffer)[0];
  const canvas = document.querySelector("#graph canvas");
  const data = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return data.filter((pixel) => pixel === wanted).length;
})"""


class ReportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="weft-report-")
        cls.browser = devtools.Browser(devtools.find_browser())

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()
        shutil.rmtree(cls.folder)

    def open(self, run, width=1280, height=800, **options):
        """The page of a run, laid out and painted; closed, and free of complaints, at the test's end."""
        path = os.path.join(self.folder, f"{self.id()}-{options.get('scheme', 'light')}.html")
        subprocess.run([os.environ["WRITE_REPORT"], path], input=json.dumps(run).encode(), check=True)
        page = self.browser.open(pathlib.Path(path).as_uri(), width, height, **options)
        self.addCleanup(page.close)
        self.addCleanup(self.assert_quiet, page)
        if run["topology"]["nodes"]:
            self.assertTrue(page.ask(SETTLED))
        page.ask(PAINTED)
        self.keep_picture(page, f"{self.id().split('.')[-1]}-{options.get('scheme', 'light')}")
        return page

    def keep_picture(self, page, name):
        folder = os.environ.get("WEFT_SCREENSHOTS")
        if folder:
            page.screenshot(os.path.join(folder, f"{name}.png"), whole=True)

    def assert_quiet(self, page):
        self.assertEqual([], page.complaints())
        self.assertEqual([], page.requests())

    def text(self, page, selector):
        return page.ask(f"document.querySelector({json.dumps(selector)}).innerText")

    def column(self, page, table, index):
        return page.ask(f"[...document.querySelectorAll('#{table} tbody tr')].map((row) => row.cells[{index}].innerText)")

    def seek(self, page, t):
        page.ask(f"report.player.seek({t})")
        page.ask(PAINTED)

    def legend(self, page):
        return page.ask("""Object.fromEntries([...document.querySelectorAll('#legend li')].map(
            (item) => [item.dataset.state, Number(item.querySelector('b').innerText.replace(',', ''))]))""")

    def assert_drawn(self, page):
        mesh = page.ask(f"{INK}(document.querySelector('#graph canvas'))")
        self.assertGreater(mesh["colours"], 3)
        self.assertGreater(mesh["share"], 0.002)
        for chart in page.ask(f"[...document.querySelectorAll('.uplot canvas')].map({INK})"):
            self.assertGreater(chart["colours"], 3)

    def assert_fits(self, page, width):
        self.assertLessEqual(page.ask("document.documentElement.scrollWidth"), width)
        bounds = page.ask("""(() => { const box = report.view.mesh.graph.getGraphBbox();
            const low = report.view.mesh.graph.graph2ScreenCoords(box.x[0], box.y[0]);
            const high = report.view.mesh.graph.graph2ScreenCoords(box.x[1], box.y[1]);
            const frame = document.getElementById("graph").getBoundingClientRect();
            return [low.x, low.y, frame.width - high.x, frame.height - high.y]; })()""")
        self.assertGreater(min(bounds), 0, "all nodes are inside the frame")

    def test_draws_5_nodes(self):
        page = self.open(sample(5))
        self.assert_drawn(page)
        self.assert_fits(page, 1280)

    def test_draws_100_nodes_light_and_dark(self):
        backgrounds = set()
        for scheme in ("light", "dark"):
            page = self.open(sample(100), scheme=scheme)
            self.assert_drawn(page)
            self.assert_fits(page, 1280)
            backgrounds.add(page.ask("getComputedStyle(document.body).backgroundColor"))
        self.assertEqual(2, len(backgrounds))

    def test_draws_2000_nodes(self):
        page = self.open(sample(2000))
        self.assert_drawn(page)
        self.assert_fits(page, 1280)
        self.assertEqual(2000, page.ask("report.view.mesh.nodes.length"))

    def test_fits_a_phone(self):
        page = self.open(sample(100), width=390, height=844, is_phone=True)
        self.assert_drawn(page)
        self.assert_fits(page, 390)

    def test_theme_button_repaints(self):
        page = self.open(sample(5))
        before = page.ask("report.theme.colours.up")
        page.ask("document.getElementById('theme').click()")
        page.ask(PAINTED)
        self.assertNotEqual(before, page.ask("report.theme.colours.up"))
        self.assertGreater(page.ask(f"{PIXELS_OF}('up')"), 100)

    def test_slider_moves_node_states(self):
        run = sample(100)
        page = self.open(run)
        crash = next(fault for fault in run["faults"] if fault["kind"] == "crash")
        self.seek(page, 5)
        self.assertEqual(100, self.legend(page)["up"])
        self.assertEqual(0, page.ask(f"{PIXELS_OF}('down')"))
        links = self.legend(page)["links"]
        self.seek(page, crash["at_s"] + 1)
        self.assertGreater(self.legend(page)["down"], 0)
        self.assertGreater(page.ask(f"{PIXELS_OF}('down')"), 20)
        self.assertLess(self.legend(page)["links"], links)
        self.seek(page, 30)
        self.assertGreater(self.legend(page)["apart"], 30)
        self.assertGreater(page.ask(f"{PIXELS_OF}('apart')"), 200)
        self.assertIn("partition", self.text(page, "#active"))
        self.seek(page, 48)
        self.assertEqual(3, self.legend(page)["paused"])
        self.seek(page, 5)
        self.assertEqual({"up": 100, "links": links},
                         {name: count for name, count in self.legend(page).items() if count > 0})

    def test_replay_agrees_with_the_events_whichever_way_it_moves(self):
        run = sample(100)
        page = self.open(run)
        for t in (62.0, 3.0, 12.5, 26.0, 9.0, 45.5, 0.1, 39.0):
            state, links = {}, set()
            for event in run["topology"]["events"]:
                if event[0] <= t and event[1].startswith("link"):
                    (links.add if event[1] == "link-up" else links.discard)(tuple(sorted(event[2:])))
                elif event[0] <= t:
                    state[event[2]] = event[1]
            self.seek(page, t)
            shown = self.legend(page)
            self.assertEqual(len(links), shown["links"], f"at {t} s")
            self.assertEqual(list(state.values()).count("up"), shown["up"] + shown["apart"], f"at {t} s")
            self.assertEqual(list(state.values()).count("down"), shown["down"], f"at {t} s")

    def test_keys_move_the_slider_and_play(self):
        page = self.open(sample(5))
        page.ask("document.getElementById('time').focus()")
        page.key("Home", 36)
        self.assertEqual(0, page.ask("report.player.time"))
        page.key("ArrowRight", 39)
        one = page.ask("report.player.time")
        self.assertAlmostEqual(0.0624, one, places=4)
        page.key("PageUp", 33)
        self.assertGreater(page.ask("report.player.time"), one + 3)
        page.key("End", 35)
        self.assertAlmostEqual(62.4, page.ask("report.player.time"))
        self.assertEqual("62.400 s", page.ask("document.getElementById('time').getAttribute('aria-valuetext')"))
        page.key("Home", 36)
        page.key(" ", 32)
        page.ask("new Promise((done) => { const look = () => report.player.time > 0.1 ? done(1) : setTimeout(look, 10); look(); })")
        page.key(" ", 32)
        stopped = page.ask("report.player.time")
        page.ask(PAINTED)
        self.assertEqual(stopped, page.ask("report.player.time"))

    def test_pointing_at_a_node_tells_its_name_and_state(self):
        run = sample(5)
        run["topology"]["nodes"][0]["name"] = "<b>hub</b>"
        page = self.open(run)
        place = page.ask("""(() => { const { x, y } = report.view.mesh.nodes[0];
            const frame = document.getElementById("graph").getBoundingClientRect();
            const at = report.view.mesh.graph.graph2ScreenCoords(x, y);
            return [frame.left + at.x, frame.top + at.y]; })()""")
        told = """new Promise((done) => { const look = () => {
            const tip = document.querySelector(".tip");
            tip ? done(tip.innerText) : setTimeout(look, 20); }; look(); })"""
        for step in (3, 2, 1, 0):
            page.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0] + step, y=place[1])
        self.assertRegex(page.ask(told), r"^<b>hub</b>.*: up, \d+ links$")

    def test_fault_buttons_jump_from_fault_to_fault(self):
        run = sample(5)
        page = self.open(run)
        self.seek(page, 0)
        page.ask("document.getElementById('next').click()")
        self.assertAlmostEqual(run["faults"][0]["at_s"], page.ask("report.player.time"))
        self.seek(page, 62)
        page.ask("document.getElementById('previous').click()")
        self.assertAlmostEqual(58.0, page.ask("report.player.time"))

    def test_click_on_a_chart_goes_there_and_a_drag_zooms_all(self):
        page = self.open(sample(5))
        page.ask("document.querySelector('.chart .u-over').scrollIntoView({ block: 'center' })")
        box = page.ask("(({ left, top, width, height }) => ({ left, top, width, height }))(document.querySelector('.chart .u-over').getBoundingClientRect())")
        y = box["top"] + box["height"] / 2
        page.click(box["left"] + box["width"] / 2, y)
        self.assertAlmostEqual(31.2, page.ask("report.player.time"), delta=0.2)
        page.call("Input.dispatchMouseEvent", type="mousePressed", x=box["left"] + 100, y=y, button="left", clickCount=1)
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=box["left"] + 400, y=y, button="left")
        page.call("Input.dispatchMouseEvent", type="mouseReleased", x=box["left"] + 400, y=y, button="left", clickCount=1)
        ranges = page.ask("report.view.charts.charts.map(({ plot }) => [plot.scales.x.min, plot.scales.x.max])")
        self.assertEqual(1, len({tuple(found) for found in ranges}))
        self.assertAlmostEqual(62.4 * 300 / box["width"], ranges[0][1] - ranges[0][0], delta=0.5)
        page.ask("document.getElementById('unzoom').click()")
        self.assertEqual([0, 62.4], page.ask("[report.player.low, report.player.high]"))

    def test_playhead_slider_and_charts_are_in_line(self):
        for width, is_phone in ((1280, False), (390, True)):
            page = self.open(sample(5), width=width, height=844, is_phone=is_phone)
            self.seek(page, 20)
            left = page.ask("""(() => { const slider = document.getElementById('time').getBoundingClientRect();
                const thumb = slider.left + 8 + (slider.width - 16) * document.getElementById('time').value / 1000;
                return [thumb, ...[...document.querySelectorAll('.playhead')].map((head) => head.getBoundingClientRect().left + 1)]; })()""")
            self.assertLess(max(left) - min(left), 2.5, left)

    def test_says_what_was_checked(self):
        page = self.open(sample(100))
        self.assertEqual("Held", self.text(page, "#verdict"))
        self.assertEqual("weft-sim run sim/scenarios/sites-100.yaml --seed 7", self.text(page, "#command"))
        self.assertIn("8c1f27a90be4d653", self.text(page, "#facts"))
        self.assertEqual("17 of 17 held", self.text(page, "#check-sum"))
        self.assertIn("broadcast.latency.p99 <= 300 ms", self.text(page, "#checks"))
        self.assertIn("reached 221 ms", self.text(page, "#checks"))
        self.assertIn("checked 61,300 times", self.text(page, "#checks"))
        self.assertTrue(page.ask("document.getElementById('reasons').hidden"))

    def test_says_what_broke_in_the_words_of_the_run(self):
        page = self.open(sample(100, broken=True))
        self.assertEqual("Broken", self.text(page, "#verdict"))
        self.assertIn('node 3 knows 98 of 100 members </script><!-- <b>& "so on"', self.text(page, "#reasons"))
        self.assertIn("reached 187 ms", self.text(page, "#reasons"))
        page.ask("document.querySelector('#reasons button').click()")
        self.assertAlmostEqual(52.131875, page.ask("report.player.time"))
        self.assertEqual(["broken", "broken"], page.ask("[...document.querySelectorAll('#checks ul')].map((list) => list.querySelector('.badge').innerText)"))

    def test_tables_hold_the_values_and_sort(self):
        run = sample(100)
        page = self.open(run)
        names = self.column(page, "metrics", 0)
        self.assertEqual([metric["name"] for metric in run["metrics"]], names)
        rows = dict(zip(names, page.ask("[...document.querySelectorAll('#metrics tbody tr')].map((row) => row.innerText)")))
        self.assertIn("734 MB", rows["gossip.bytes"])
        self.assertIn("0.0313", rows["broadcast.redundancy"])
        self.assertIn("0.999874", rows["unicast.delivered"])
        self.assertIn("6,000", rows["broadcast.latency"])
        page.ask("document.querySelectorAll('#metrics th button')[7].click()")
        largest = max((metric for metric in run["metrics"] if "p99" in metric), key=lambda metric: metric["p99"])
        self.assertEqual(largest["name"], self.column(page, "metrics", 0)[0])
        self.assertEqual("descending", page.ask("document.querySelectorAll('#metrics th')[7].ariaSort"))
        page.ask("(() => { const box = document.getElementById('filter'); box.value = 'latency uni'; box.dispatchEvent(new Event('input')); })()")
        self.assertEqual(["unicast.latency"], self.column(page, "metrics", 0))
        page.ask("(() => { const box = document.getElementById('filter'); box.value = ''; document.getElementById('nonzero').click(); })()")
        self.assertEqual({"broadcast.missed"}, set(names) - set(self.column(page, "metrics", 0)))
        self.assertEqual([fault["what"] for fault in run["faults"]], self.column(page, "faults", 4))

    def test_distributions_show_every_sample(self):
        run = sample(100)
        page = self.open(run)
        page.ask("document.getElementById('more').click()")
        shown = page.ask("[...document.querySelectorAll('.distribution b')].map((name) => name.innerText)")
        self.assertEqual(sorted(m["name"] for m in run["metrics"] if m["kind"] == "distribution"), sorted(shown))
        for metric in run["metrics"]:
            if metric["kind"] == "distribution":
                total = page.ask(f"binBuckets({json.dumps(metric['buckets'])}, '{metric['unit']}').counts.reduce((sum, count) => sum + count, 0)")
                self.assertAlmostEqual(metric["count"], total, places=3, msg=metric["name"])

    def test_axes_of_wide_distributions_stay_readable(self):
        run = sample(5)
        wide = next(metric for metric in run["metrics"] if metric["name"] == "link.round_trip")
        wide["buckets"] = [[0, 0, 10], [3, 3, 1]] + wide["buckets"] + [[9000000000000, 9100000000000, 2]]
        wide["count"] += 13
        page = self.open(run)
        self.assertAlmostEqual(wide["count"], page.ask(f"binBuckets({json.dumps(wide['buckets'])}, 'ns').counts.reduce((sum, count) => sum + count, 0)"), places=3)
        self.assertLessEqual(page.ask("logSplits(0.5, 12.96).length"), 6)
        self.assertEqual(["10 ms", "30 ms", "100 ms"], page.ask("logSplits(6.9, 8.3).map((power) => formatValue(10 ** power, 'ns'))"))

    def test_takes_the_smallest_and_oddest_runs(self):
        run = sample(5)
        run.update(formed_s=None, faults=[], metrics=[], expects=[])
        run["series"]["rows"] = []
        run["topology"] = {"nodes": [], "sampled_of": None, "events": []}
        page = self.open(run)
        self.assertIn("never", self.text(page, "#facts"))
        self.assertEqual("The run kept no topology.", self.text(page, "#mesh-note"))
        odd = sample(5)
        odd["topology"]["sampled_of"] = 10000
        odd["topology"]["events"] += [[1.0, "link-up", 0, 77], [1.0, "unheard-of", 1], [1.0, "link-up", 2, 2]]
        odd["metrics"] = [{"name": f"one.{value}", "kind": "distribution", "unit": unit, "value": value, "count": 1,
                           "min": value, "max": value, "mean": value, "p50": value, "p90": value, "p99": value,
                           "p999": value, "buckets": [[value, value, 1]]}
                          for unit in ("ns", "count", "bytes", "ppm") for value in (0, 7, 5000000)]
        page = self.open(odd)
        self.assertIn("of 10,000 nodes", self.text(page, "#mesh-note"))
        self.assert_drawn(page)


if __name__ == "__main__":
    if devtools.find_browser() is None:
        line = "left out: report_page: no Chromium here (scripts/setup browser)"
        print(line)
        if "WEFT_LEFT_OUT" in os.environ:
            with open(os.environ["WEFT_LEFT_OUT"], "a") as told:
                print(line, file=told)
        sys.exit(77)
    unittest.main(verbosity=2)
