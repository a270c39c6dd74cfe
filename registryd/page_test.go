package registryd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/envharness/envharness/internal/testservers"
)

// screenshotsVariable names a directory for pictures of the page, to look at.
const screenshotsVariable = "ENVHARNESS_TEST_SCREENSHOTS"

// browser is a Chromium of this test's own.
func browser(t *testing.T) context.Context {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		testservers.Missing(t, "Chromium", "apt-get install chromium")
	}
	directory, err := os.MkdirTemp("", "chromium")
	require.NoError(t, err)
	t.Cleanup(func() { // its helpers still write for a moment when it has ended
		require.Eventually(t, func() bool { return os.RemoveAll(directory) == nil }, patience, 50*time.Millisecond)
	})
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Headless,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.UserDataDir(directory), chromedp.WSURLReadTimeout(patience))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf)) // of what it does not know of this Chromium
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser, which writes into its directory
		cancel()
	})
	ctx, cancel = context.WithTimeout(ctx, 10*patience)
	t.Cleanup(cancel)
	return ctx
}

// see waits until JavaScript finds an expression true, without reloading the page.
func see(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	var met bool
	err := chromedp.Run(ctx, chromedp.Poll(expression, &met, chromedp.WithPollingTimeout(patience), chromedp.WithPollingInterval(20*time.Millisecond)))
	require.NoError(t, err, "%s\n%s", expression, evaluate(t, ctx, "document.body.innerText"))
}

func evaluate(t *testing.T, ctx context.Context, expression string) string {
	t.Helper()
	var text string
	require.NoError(t, chromedp.Run(ctx, chromedp.Evaluate(expression, &text)))
	return text
}

// everything that the document holds, with what scripts put into properties of elements.
const everything = `document.documentElement.outerHTML + [...document.querySelectorAll("*")].map(e => e.value ?? "").join()`

func TestPage(t *testing.T) {
	_, url := start(t, Options{})
	ctx := browser(t)
	require.NoError(t, chromedp.Run(ctx, chromedp.Navigate(url)))
	see(t, ctx, `document.querySelector("#state").dataset.state === "live"`)
	see(t, ctx, `!document.querySelector("#no-services").hidden && !document.querySelector("#no-values").hidden`)
	evaluate(t, ctx, `window.notReloaded = "yes"`)

	t.Run("registration appears and disappears", func(t *testing.T) {
		put := func(ttl, body string) {
			require.Equal(t, 200, ask(t, "PUT", url+"/services/web/web-1?ttl="+ttl, body).status)
		}
		put("100s", `{"host":"10.0.0.5","ports":{"http":{"number":8080}},"tags":["<b>blue</b>"],"user":"shop","password":"canary-password","metadata":{"container":"shop-1"}}`)
		see(t, ctx, `document.querySelector("[data-service=web] [data-id=web-1]")?.innerText.includes("10.0.0.5:8080")`)
		see(t, ctx, `document.querySelector("#containers [data-container=shop-1]") !== null`)
		see(t, ctx, `document.querySelector("[data-id=web-1] .lease span").textContent.match(/^[0-9]+ (s|min) left$/) !== null`)
		require.Contains(t, evaluate(t, ctx, `document.querySelector("[data-id=web-1]").innerText`), "<b>blue</b>")
		put("100s", `{"host":"10.0.0.5","state":"failing"}`)
		see(t, ctx, `document.querySelector("[data-id=web-1] .state").textContent === "failing"`)
		require.Equal(t, 204, ask(t, "DELETE", url+"/services/web/web-1", "").status)
		see(t, ctx, `document.querySelector("[data-service=web]") === null && !document.querySelector("#no-services").hidden`)

		put("100s", `{"host":"10.0.0.6"}`)
		see(t, ctx, `document.querySelector("[data-id=web-1]") !== null`)
		put("1s", `{"host":"10.0.0.6"}`)
		see(t, ctx, `document.querySelector("[data-id=web-1]") === null`) // its lease ran out
	})

	t.Run("a masked value is not there", func(t *testing.T) {
		require.Equal(t, 204, ask(t, "PUT", url+"/environment/DATABASE_URL", "canary-value").status)
		require.Equal(t, 200, ask(t, "PUT", url+"/services/db/db-1?ttl=1h", `{"host":"h","user":"u","password":"canary-password"}`).status)
		see(t, ctx, `document.querySelector("[data-value=DATABASE_URL]") !== null && document.querySelector("[data-id=db-1]") !== null`)
		require.NotContains(t, evaluate(t, ctx, everything), "canary")
		for row, secret := range map[string]string{"[data-value=DATABASE_URL]": "canary-value", "[data-id=db-1]": "u:canary-password"} {
			require.NoError(t, chromedp.Run(ctx, chromedp.Focus(row+" [aria-label^=Show]"), chromedp.KeyEvent("\r"))) // by keyboard
			see(t, ctx, `document.querySelector("`+row+` .secret")?.textContent === "`+secret+`"`)
			require.NoError(t, chromedp.Run(ctx, chromedp.Click(row+" [aria-label^=Hide]")))
			// Before half a minute is over, when the page hides it anyway.
			require.NoError(t, chromedp.Run(ctx, chromedp.Poll(`document.querySelector("`+row+` .secret") === null`, nil, chromedp.WithPollingTimeout(20*time.Second))))
			require.NotContains(t, evaluate(t, ctx, everything), "canary")
		}
	})

	require.Equal(t, "yes", evaluate(t, ctx, `window.notReloaded`))
}

// TestPageReconnects: what came and went while the registry was away is shown once it is back.
func TestPageReconnects(t *testing.T) {
	t.Parallel()
	process, url := startProcess(t, Options{Data: dataDirectory(t)})
	put := func(id string) {
		require.Equal(t, 200, ask(t, "PUT", url+"/services/"+id+"/"+id+"?ttl=1h", `{"host":"h"}`).status)
	}
	put("early")
	put("stays")
	ctx := browser(t)
	require.NoError(t, chromedp.Run(ctx, chromedp.Navigate(url)))
	see(t, ctx, `document.querySelector("[data-id=early]") !== null && document.querySelector("[data-id=stays]") !== null`)
	process.Kill(t)
	see(t, ctx, `document.querySelector("#state").dataset.state === "lost" && !document.querySelector("#reason").hidden`)
	process.Start(t)
	require.Equal(t, 204, ask(t, "DELETE", url+"/services/early/early", "").status)
	put("late")
	see(t, ctx, `document.querySelector("#state").dataset.state === "live" && document.querySelector("#reason").hidden`)
	see(t, ctx, `document.querySelector("[data-id=early]") === null && document.querySelector("[data-id=late]") !== null && document.querySelector("[data-id=stays]") !== null`)
}

// TestPageKeyboard does everything that the page offers, by keys alone.
func TestPageKeyboard(t *testing.T) {
	_, url := start(t, Options{})
	for i := range 15 { // too many to be open from the start
		require.Equal(t, 200, ask(t, "PUT", fmt.Sprintf("%s/services/web%02d/a?ttl=1h", url, i), `{"host":"10.0.0.5","ports":{"http":{"number":80}}}`).status)
	}
	require.Equal(t, 200, ask(t, "PUT", url+"/services/web07/b?ttl=1h", `{"host":"10.0.0.6","state":"failing"}`).status)
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/SECRET", "canary-value").status)
	ctx := browser(t)
	require.NoError(t, chromedp.Run(ctx, chromedp.Navigate(url)))
	see(t, ctx, `document.querySelector("#state").dataset.state === "live"`)
	press := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			require.NoError(t, chromedp.Run(ctx, chromedp.KeyEvent(key)))
		}
	}
	tabTo := func(selector string) { // by Tab alone, and what has the focus can be seen
		t.Helper()
		for range 60 {
			press(kb.Tab)
			if evaluate(t, ctx, `String(document.activeElement.matches(`+quote(selector)+`))`) == "true" {
				require.Equal(t, "true", evaluate(t, ctx, `String((e => e.matches(":focus-visible") && e.getBoundingClientRect().height > 0)(document.activeElement))`))
				return
			}
		}
		t.Fatal("Tab does not come to " + selector + ", but to " + evaluate(t, ctx, `document.activeElement.outerHTML`))
	}

	tabTo(".skip")
	see(t, ctx, `document.querySelector("#services > li").dataset.service === "web07"`) // what fails comes first
	see(t, ctx, `document.querySelectorAll("#services > li").length === 15 && document.querySelectorAll("#services [data-id]").length === 0`)

	press("/") // the protocol types the slash that a keyboard would not
	see(t, ctx, `document.activeElement.id === "filter"`)
	require.NoError(t, chromedp.Run(ctx, chromedp.Evaluate(`document.querySelector("#filter").value = ""`, nil)))
	press("web0")
	see(t, ctx, `document.querySelectorAll("#services > li").length === 10 && location.search === "?filter=web0"`)
	press(kb.Tab, kb.ArrowRight) // the states
	see(t, ctx, `document.querySelectorAll("#services > li").length === 1 && location.search === "?filter=web0&state=failing"`)
	see(t, ctx, `document.querySelector("[data-service=web07] [data-id=b]") !== null && document.querySelector("[data-service=web07] [data-id=a]") === null`)
	require.NoError(t, chromedp.Run(ctx, chromedp.Reload()))
	see(t, ctx, `document.querySelectorAll("#services > li").length === 1 && document.querySelector("#filter").value === "web0"`)
	press("/", "nothing")
	see(t, ctx, `!document.querySelector("#no-match").hidden && document.querySelectorAll(".rows > li").length === 0`)
	tabTo("#clear")
	press(kb.Enter)
	see(t, ctx, `document.querySelectorAll("#services > li").length === 15 && location.search === "" && document.activeElement.id === "filter"`)

	tabTo("[data-service=web01] .open")
	press(kb.Enter)
	see(t, ctx, `document.activeElement.ariaExpanded === "true" && document.querySelector("[data-service=web01] [data-id=a]") !== null`)
	require.NoError(t, chromedp.Run(ctx, chromedp.Evaluate(`navigator.clipboard.writeText = async (text) => { window.copied = text }`, nil)))
	press(kb.Tab, kb.Enter)
	see(t, ctx, `window.copied === "10.0.0.5:80" && document.querySelector("#announce").textContent === "Copied the address 10.0.0.5:80"`)

	tabTo("[data-value=SECRET] [aria-label^=Show]")
	press(" ")
	see(t, ctx, `document.querySelector(".secret")?.textContent === "canary-value"`)
	press(" ")
	see(t, ctx, `document.querySelector(".secret") === null`)
	press(kb.Tab, kb.Enter)
	see(t, ctx, `window.copied === "canary-value"`)
	require.NotContains(t, evaluate(t, ctx, everything), "canary-value")

	require.NoError(t, chromedp.Run(ctx, chromedp.Focus("#services-title")))
	tabTo("#add")
	press(kb.Enter, "SECRET", kb.Tab, "canary-new", kb.Tab, "1h", kb.Enter)
	see(t, ctx, `document.querySelector("#put-error").textContent.includes("already")`)
	press(kb.Escape)
	see(t, ctx, `!document.querySelector("#put").open && document.activeElement.id === "add"`)
	see(t, ctx, `!(`+everything+`).includes("canary-new")`)
	press(kb.Enter, "NEW_ONE", kb.Tab, "canary-new", kb.Tab, "1h", kb.Enter)
	see(t, ctx, `document.querySelector("[data-value=NEW_ONE]") !== null && !document.querySelector("#put").open`)
	require.Equal(t, "canary-new", ask(t, "GET", url+"/environment/NEW_ONE", "").body)
	tabTo("[data-value=NEW_ONE] [aria-label^=Replace]")
	press(kb.Enter, "other", kb.Tab, kb.Tab, kb.Tab, kb.Enter)
	see(t, ctx, `!document.querySelector("#put").open`)
	require.Equal(t, "other", ask(t, "GET", url+"/environment/NEW_ONE", "").body)
	press(kb.Tab, kb.Enter, kb.Tab, kb.Enter) // Remove, and not Cancel
	see(t, ctx, `document.querySelector("[data-value=NEW_ONE]") === null && document.activeElement.closest("[data-value=SECRET]") !== null`)
	refused(t, 404, ask(t, "GET", url+"/environment/NEW_ONE", ""))
}

func quote(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

// TestPageReader: who may not write is not offered to.
func TestPageReader(t *testing.T) {
	near, far := guarded(t, Options{})
	root, err := clientv3.New(clientv3.Config{Endpoints: []string{strings.TrimPrefix(near, "http://")}, Username: "root", Password: "rootpw", Logger: zap.NewNop()})
	require.NoError(t, err)
	defer root.Close()
	_, err = root.RoleAdd(t.Context(), "reader")
	require.NoError(t, err)
	_, err = root.RoleGrantPermission(t.Context(), "reader", "/envharness/", "/envharness0", clientv3.PermissionType(clientv3.PermRead))
	require.NoError(t, err)
	_, err = root.UserAdd(t.Context(), "reader", "readerpw")
	require.NoError(t, err)
	_, err = root.UserGrantRole(t.Context(), "reader", "reader")
	require.NoError(t, err)
	for user, writable := range map[string]string{"reader": "false", "root": "true"} {
		request := newRequest(t, "GET", far+"/watch", "")
		request.SetBasicAuth(user, user+"pw")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		found := &events{bufio.NewScanner(response.Body)}
		for event := ""; !strings.HasPrefix(event, "current "); {
			event = found.next(t)
			if strings.HasPrefix(event, "current ") {
				require.Equal(t, `current {"current":true,"writable":`+writable+`}`, event, user)
			}
		}
	}
}

// TestPageWork: a change costs the page work for what has changed, however much is registered.
func TestPageWork(t *testing.T) {
	t.Parallel()
	_, url := startProcess(t, Options{Data: dataDirectory(t)})
	client := etcdClient(t, url)
	fill(t, client, 100, 10_000)
	ctx := browser(t)
	require.NoError(t, chromedp.Run(ctx, chromedp.Navigate(url)))
	see(t, ctx, `document.querySelector("[data-count='']").textContent === "10000"`)
	nodes := `document.querySelectorAll("*").length`
	see(t, ctx, nodes+` < 2500`)
	require.NoError(t, chromedp.Run(ctx, chromedp.Evaluate(`document.querySelector("[data-service=s0007] .open").click()`, nil)))
	see(t, ctx, `document.querySelectorAll("[data-service=s0007] [data-id]").length === 100`)
	see(t, ctx, `document.querySelectorAll("[data-service=s0007] .lease:not([hidden])").length === 0`)
	require.NoError(t, chromedp.Run(ctx, chromedp.Evaluate(`
		window.changed = 0;
		new MutationObserver((all) => { for (const one of all) if (!one.target.closest?.(".lease")) window.changed++ })
			.observe(document.documentElement, { subtree: true, childList: true, attributes: true, characterData: true });
		window.took = [];
		new PerformanceObserver((list) => window.took.push(...list.getEntries().map((e) => e.duration))).observe({ type: "measure" });`, nil)))
	put := func(state string) {
		_, err := client.Put(t.Context(), "/envharness/services/s0007/i00007", `{"host":"10.0.0.5","ports":{"http":{"number":80}},"state":"`+state+`"}`)
		require.NoError(t, err)
	}
	require.NoError(t, chromedp.Run(ctx, chromedp.Evaluate(`document.querySelector("[data-service=s0007]").stays = true`, nil)))
	put("failing")
	see(t, ctx, `document.querySelector("#services > li").dataset.service === "s0007" && document.querySelector("[data-service=s0007] [data-id]").dataset.id === "i00007"`)
	see(t, ctx, `document.querySelector("#announce").textContent === "1 of 10000 instances failing"`)
	require.Equal(t, "true", evaluate(t, ctx, `String(document.querySelector("[data-service=s0007]").stays)`), "the row was made anew")
	n, err := strconv.Atoi(evaluate(t, ctx, `String(window.changed)`))
	require.NoError(t, err)
	require.Less(t, n, 60)
	require.NoError(t, chromedp.Run(ctx, chromedp.Evaluate(`window.changed = 0`, nil)))
	put("passing")
	see(t, ctx, `document.querySelector("#services > li").dataset.service === "s0000"`)
	n, err = strconv.Atoi(evaluate(t, ctx, `String(window.changed)`))
	require.NoError(t, err)
	require.Less(t, n, 60)
	t.Logf("milliseconds of script: %s", evaluate(t, ctx, `window.took.map((n) => n.toFixed(1)).join(" ")`))
}

// fill registers as many instances in as many services, without leases.
func fill(t *testing.T, client *clientv3.Client, services, instances int) {
	t.Helper()
	var puts []clientv3.Op
	for i := range instances {
		record := fmt.Sprintf(`{"host":"10.0.%d.%d","ports":{"http":{"number":8080},"metrics":{"number":9100}},"tags":["blue"],"shard":"s%d"}`, i/250, i%250, i%4)
		puts = append(puts, clientv3.OpPut(fmt.Sprintf("/envharness/services/s%04d/i%05d", i%services, i), record))
		if len(puts) == 100 || i == instances-1 {
			_, err := client.Txn(t.Context()).Then(puts...).Commit()
			require.NoError(t, err)
			puts = nil
		}
	}
}

// TestPageLooks: no width makes it scroll sideways, every control has a name and a size, and every text can be
// read. With the variable set it leaves pictures.
func TestPageLooks(t *testing.T) {
	t.Parallel()
	_, few := start(t, Options{Containers: true})
	empty, emptyURL := start(t, Options{Insecure: true})
	putDemo(t, few)
	_, many := startProcess(t, Options{Data: dataDirectory(t)})
	fill(t, etcdClient(t, many), 1000, 3000)
	putDemo(t, many)
	ctx := browser(t)
	run := func(actions ...chromedp.Action) {
		t.Helper()
		require.NoError(t, chromedp.Run(ctx, actions...))
	}
	load := func(url string) {
		t.Helper()
		run(chromedp.Navigate(url))
		see(t, ctx, `document.querySelector("#state").dataset.state === "live" && document.querySelectorAll("#values > li").length === 3`)
	}
	everyLook := func(name string, wholePicture bool, prepare func()) {
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{1280, 800, 390} {
				name := fmt.Sprintf("%s-%s-%d", name, scheme, width)
				t.Run(name, func(t *testing.T) {
					run(chromedp.EmulateViewport(width, 900),
						emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
					see(t, ctx, fmt.Sprintf(`innerWidth === %d && matchMedia("(prefers-color-scheme: %s)").matches`, width, scheme))
					prepare()
					looksWell(t, ctx)
					picture(t, ctx, name, wholePicture)
				})
			}
		}
	}

	load(few)
	see(t, ctx, `document.querySelectorAll(".lease:not([hidden])").length >= 5`)
	require.Contains(t, evaluate(t, ctx, "document.body.innerText"), "one trust domain")
	// No script of the page asks for scheme or width, so that what is there is there in each of them.
	everyLook("few", true, func() { // a value that is shown is hidden again after half a minute
		run(chromedp.Evaluate(`document.querySelector("[data-value=DATABASE_URL] [aria-label^=Show]")?.click()`, nil))
		see(t, ctx, `document.querySelector(".secret") !== null`)
	})
	run(chromedp.Evaluate(`document.querySelector("#add").click()`, nil))
	everyLook("put", false, func() { see(t, ctx, `document.querySelector("#put").open`) })

	everyLook("many", false, func() { // rows that are not in view stay as wide as they were: it is loaded for each width
		load(many)
		see(t, ctx, `document.querySelectorAll("#services > li").length === 1000`)
	})

	t.Run("empty and lost", func(t *testing.T) {
		run(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(emptyURL))
		see(t, ctx, `!document.querySelector("#no-services").hidden && !document.querySelector("#no-containers").hidden`)
		looksWell(t, ctx)
		picture(t, ctx, "empty", true)
		empty.Close()
		see(t, ctx, `document.querySelector("#state").dataset.state === "lost"`)
		looksWell(t, ctx)
		picture(t, ctx, "lost", true)
	})
}

// picture leaves one of the window or of the whole page, if pictures are asked for.
func picture(t *testing.T, ctx context.Context, name string, whole bool) {
	t.Helper()
	directory := os.Getenv(screenshotsVariable)
	if directory == "" {
		return
	}
	var taken []byte
	take := chromedp.CaptureScreenshot(&taken)
	if whole {
		take = chromedp.FullScreenshot(&taken, 100)
	}
	require.NoError(t, chromedp.Run(ctx, take))
	require.NoError(t, os.WriteFile(filepath.Join(directory, name+".png"), taken, 0o644))
}

// looksWell is what can be said of every state of the page.
func looksWell(t *testing.T, ctx context.Context) {
	t.Helper()
	for what, expression := range map[string]string{
		"wider than the window": `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".hidden, .skip"))`,
		"without a name":        `[...document.querySelectorAll("button, input, textarea, progress")].filter(e => e.checkVisibility() && !e.getAttribute("aria-label") && !e.labels?.length && !e.textContent.trim())`,
		"too small to hit":      `[...document.querySelectorAll("button, a, .states label")].filter(e => e.checkVisibility({ contentVisibilityAuto: true }) && !e.closest(".skip") && (r => r.height < 24 || r.width < 24)(e.getBoundingClientRect()))`,
	} {
		require.Equal(t, "[]", evaluate(t, ctx, `JSON.stringify(`+expression+`.map(e => e.outerHTML.slice(0, 200)))`), what)
	}
	require.Equal(t, "[]", evaluate(t, ctx, unreadable))
}

// putDemo registers what a shop has.
func putDemo(t *testing.T, url string) {
	t.Helper()
	for path, body := range map[string]string{
		"web/web-7f9c-1?ttl=10m": `{"host":"10.0.0.5","private_host":"172.17.0.4","ports":{"http":{"number":8080},"metrics":{"number":9100}},"private_ports":{"http":{"number":80}},"tags":["blue","eu-west"],"metadata":{"container":"shop-web-1","version":"4.2.1"}}`,
		"web/web-7f9c-2?ttl=9m":  `{"host":"10.0.0.6","ports":{"http":{"number":8080},"metrics":{"number":9100}},"state":"starting","tags":["blue"],"metadata":{"container":"shop-web-2","version":"4.2.2"}}`,
		"postgres/db-1?ttl=10m":  `{"host":"fd00::12","ports":{"postgresql":{"number":5432}},"user":"shop","password":"hidden","shard":"s0","critical":true}`,
		"mail/mail-1?ttl=1h":     `{"host":"a-rather-long-host-name.production.internal.example.com","ports":{"smtp":{"number":25}},"state":"failing","reason":"dial tcp 10.0.0.25:25: connect: connection refused"}`,
	} {
		require.Equal(t, 200, ask(t, "PUT", url+"/services/"+path, body).status, path)
	}
	for _, name := range []string{"DATABASE_URL", "MEMCACHE_SERVER", "PAYPAL_CLIENT_SECRET?ttl=1h"} {
		require.Equal(t, 204, ask(t, "PUT", url+"/environment/"+name, "postgresql://shop:hidden@10.0.0.12/shop").status)
	}
}

// unreadable lists texts whose contrast with what is behind them is less than WCAG's 4.5.
const unreadable = `(() => {
	const parse = (c) => (c.match(/[\d.]+/g) ?? []).map(Number);
	const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
		const v = c[i] / 255;
		return sum + weight * (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
	}, 0);
	const known = new Map(); // what is behind the elements of a list is looked for once
	const behind = (e) => {
		if (!e) return [255, 255, 255];
		if (!known.has(e)) {
			const c = parse(getComputedStyle(e).backgroundColor);
			known.set(e, c.length === 3 || c[3] === 1 ? c : behind(e.parentElement));
		}
		return known.get(e);
	};
	const bad = [];
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.closest(".fresh")) continue;
		const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
		const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (contrast < 4.5) bad.push(e.className + " " + e.textContent.slice(0, 40) + " " + contrast.toFixed(2));
	}
	return JSON.stringify(bad);
})()`

// TestPageFiles: all that the page needs comes from here.
func TestPageFiles(t *testing.T) {
	_, url := start(t, Options{})
	for path, kind := range map[string]string{"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript", "/list.js": "text/javascript", "/parts.js": "text/javascript", "/icon.svg": "image/svg+xml"} {
		a := ask(t, "GET", url+path, "")
		require.Equal(t, 200, a.status)
		require.Contains(t, a.header.Get("Content-Type"), kind)
		require.NotContains(t, strings.ReplaceAll(a.body, "http://www.w3.org/2000/svg", ""), "http://")
		require.NotContains(t, a.body, "https://")
		require.NotContains(t, a.header.Get("Content-Security-Policy"), "unsafe")
	}
	refused(t, 404, ask(t, "GET", url+"/index.html", ""))
	refused(t, 405, ask(t, "POST", url+"/", ""))
	require.True(t, json.Valid([]byte(ask(t, "GET", url+"/readyz", "").body)))
}
