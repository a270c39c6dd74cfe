package registryd

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

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
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Headless,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(patience))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser, which writes into its directory
		cancel()
	})
	ctx, cancel = context.WithTimeout(ctx, 2*patience)
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

		put("1s", `{"host":"10.0.0.6"}`)
		see(t, ctx, `document.querySelector("[data-id=web-1]") !== null`)
		see(t, ctx, `document.querySelector("[data-id=web-1]") === null`) // its lease ran out
	})

	t.Run("a masked value is not there", func(t *testing.T) {
		require.Equal(t, 204, ask(t, "PUT", url+"/environment/DATABASE_URL", "canary-value").status)
		require.Equal(t, 200, ask(t, "PUT", url+"/services/db/db-1?ttl=1h", `{"host":"h","user":"u","password":"canary-password"}`).status)
		see(t, ctx, `document.querySelector("[data-value=DATABASE_URL]") !== null && document.querySelector("[data-id=db-1]") !== null`)
		require.NotContains(t, evaluate(t, ctx, everything), "canary")
		for row, secret := range map[string]string{"[data-value=DATABASE_URL]": "canary-value", "[data-id=db-1]": "u:canary-password"} {
			button := row + " button"
			require.NoError(t, chromedp.Run(ctx, chromedp.Focus(button), chromedp.KeyEvent("\r"))) // by keyboard
			see(t, ctx, `document.querySelector("`+row+` .secret")?.textContent === "`+secret+`"`)
			require.NoError(t, chromedp.Run(ctx, chromedp.Click(button)))
			// Before half a minute is over, when the page hides it anyway.
			require.NoError(t, chromedp.Run(ctx, chromedp.Poll(`document.querySelector("`+row+` .secret") === null`, nil, chromedp.WithPollingTimeout(20*time.Second))))
			require.NotContains(t, evaluate(t, ctx, everything), "canary")
		}
	})

	t.Run("filter by keyboard", func(t *testing.T) {
		require.NoError(t, chromedp.Run(ctx, chromedp.KeyEvent("/")))
		see(t, ctx, `document.activeElement.id === "filter"`)
		require.NoError(t, chromedp.Run(ctx, // the protocol types the slash that a keyboard would not
			chromedp.Evaluate(`document.querySelector("#filter").value = ""`, nil), chromedp.KeyEvent("data")))
		see(t, ctx, `document.querySelector("#services").children.length === 0 && document.querySelector("#values").children.length === 1`)
		require.NoError(t, chromedp.Run(ctx, chromedp.KeyEvent("!")))
		see(t, ctx, `!document.querySelector("#no-match").hidden`)
		require.NoError(t, chromedp.Run(ctx, chromedp.KeyEvent(strings.Repeat("\b", len("data!")))))
		see(t, ctx, `document.querySelector("#services").children.length === 1 && document.querySelector("#no-match").hidden`)
	})
	require.Equal(t, "yes", evaluate(t, ctx, `window.notReloaded`))
}

// TestPageReconnects: what came and went while the registry was away is shown once it is back.
func TestPageReconnects(t *testing.T) {
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

// TestPageLooks: no width makes it scroll sideways, and every control has a name. With the variable set it
// leaves pictures.
func TestPageLooks(t *testing.T) {
	_, url := start(t, Options{Containers: true})
	empty, emptyURL := start(t, Options{Insecure: true})
	for path, body := range map[string]string{
		"/services/web/web-7f9c-1?ttl=90s":                 `{"host":"10.0.0.5","ports":{"http":{"number":8080},"metrics":{"number":9100}},"tags":["blue","eu-west"],"metadata":{"container":"shop-web-1"}}`,
		"/services/web/web-7f9c-2?ttl=120s":                `{"host":"10.0.0.6","ports":{"http":{"number":8080}},"state":"starting","tags":["blue"],"metadata":{"container":"shop-web-2"}}`,
		"/services/postgres/db-1?ttl=60s":                  `{"host":"fd00::12","ports":{"postgresql":{"number":5432}},"user":"shop","password":"hidden","shard":"s0","critical":true}`,
		"/services/stats/host-1:9f8e7d6c5b4a/8125?ttl=30s": `{"host":"h"}`,
		"/services/mail/mail-1?ttl=1h":                     `{"host":"a-rather-long-host-name.production.internal.example.com","ports":{"smtp":{"number":25}},"state":"failing"}`,
	} {
		status := ask(t, "PUT", url+path, body).status
		require.True(t, status == 200 || strings.Count(path, "/") > 3, path)
	}
	for _, name := range []string{"DATABASE_URL", "MEMCACHE_SERVER", "PAYPAL_CLIENT_SECRET?ttl=1h"} {
		require.Equal(t, 204, ask(t, "PUT", url+"/environment/"+name, "postgresql://shop:hidden@10.0.0.12/shop").status)
	}
	ctx := browser(t)
	picture := func(name string) {
		directory := os.Getenv(screenshotsVariable)
		if directory == "" {
			return
		}
		var taken []byte
		require.NoError(t, chromedp.Run(ctx, chromedp.FullScreenshot(&taken, 100)))
		require.NoError(t, os.WriteFile(filepath.Join(directory, name+".png"), taken, 0o644))
	}
	for _, look := range []struct {
		name   string
		width  int64
		scheme string
	}{{"light", 1200, "light"}, {"dark", 1200, "dark"}, {"phone", 360, "light"}, {"phone-dark", 360, "dark"}} {
		require.NoError(t, chromedp.Run(ctx,
			chromedp.EmulateViewport(look.width, 900),
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}),
			chromedp.Navigate(url)))
		see(t, ctx, `document.querySelectorAll("#services .card").length === 3 && document.querySelectorAll("#values > li").length === 3`)
		see(t, ctx, `document.querySelectorAll(".lease:not([hidden])").length >= 5`)
		require.Equal(t, "[]", evaluate(t, ctx, `JSON.stringify([...document.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".hidden")).map(e => e.outerHTML))`))
		require.Equal(t, "[]", evaluate(t, ctx, `JSON.stringify([...document.querySelectorAll("button, input, progress")].filter(e => !e.getAttribute("aria-label") && !e.labels?.length).map(e => e.outerHTML))`))
		require.Equal(t, "[]", evaluate(t, ctx, unreadable))
		require.Contains(t, evaluate(t, ctx, "document.body.innerText"), "one trust domain")
		if look.scheme == "dark" {
			require.NoError(t, chromedp.Run(ctx, chromedp.Click("[data-value=DATABASE_URL] button")))
			see(t, ctx, `document.querySelector(".secret") !== null`)
			require.Equal(t, "[]", evaluate(t, ctx, unreadable))
		}
		picture(look.name)
	}
	require.NoError(t, chromedp.Run(ctx, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(emptyURL)))
	see(t, ctx, `!document.querySelector("#no-services").hidden && !document.querySelector("#no-containers").hidden`)
	require.Equal(t, "[]", evaluate(t, ctx, unreadable))
	picture("empty")
	empty.Close()
	see(t, ctx, `document.querySelector("#state").dataset.state === "lost"`)
	require.Equal(t, "[]", evaluate(t, ctx, unreadable))
	picture("lost")
}

// unreadable lists texts whose contrast with what is behind them is less than WCAG's 4.5.
const unreadable = `(() => {
	const parse = (c) => (c.match(/[\d.]+/g) ?? []).map(Number);
	const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
		const v = c[i] / 255;
		return sum + weight * (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
	}, 0);
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const c = parse(getComputedStyle(e).backgroundColor);
			if (c.length === 3 || c[3] === 1) return c;
		}
		return [255, 255, 255];
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
	for path, kind := range map[string]string{"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript", "/icon.svg": "image/svg+xml"} {
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
