package registryd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/internal/buildinfo"
	"github.com/envharness/envharness/registryd/listen"
	"github.com/envharness/envharness/registryd/node"
	"github.com/envharness/envharness/registryd/page"
)

// mostBody is how large the body of a request may be.
const mostBody = 1 << 20

// times are what a request may take. Tests have them otherwise.
type times struct {
	body   time.Duration // for sending a body, and for taking an answer
	answer time.Duration // of etcd, for one call
}

var usualTimes = times{body: 30 * time.Second, answer: 5 * time.Second}

// ErrorHeader is where a reply says why it is no success. Its body is empty then.
const ErrorHeader = listen.ErrorHeader

// handler answers all requests of all listeners.
type handler struct {
	node      node.Node
	store     *store
	gate      *gate
	rights    *rights
	room      *room // for answers
	bodies    *room // for what clients send, however slowly: it keeps nobody's answer back
	snapshots *snapshots
	targets   batches[targetsQuestion, *sharedAnswer]
	counts    *counts
	mirrors   *mirrors
	metrics   *metrics
	page      *page.Page
	times     times
	log       *slog.Logger

	life context.Context // of watches
	end  context.CancelFunc
}

func newHandler(options Options, n node.Node, keys layout.Layout, l *listen.Listeners) *handler {
	h := &handler{node: n, times: options.times, log: options.Log, rights: newRights(), room: newRoom(mostInFlight/2, mostInFlightEach), bodies: newRoom(mostInFlight/2, mostInFlightEach)}
	h.life, h.end = context.WithCancel(context.Background())
	h.metrics = newMetrics(n, l.Connections)
	logins := newLogins(n, h.metrics)
	h.store = newStore(n, keys, logins, options.times.answer, options.Log)
	h.gate = &gate{options: options, node: n, logins: logins, metrics: h.metrics}
	h.snapshots = newSnapshots(h.store)
	h.counts = newCounts(h.store)
	h.mirrors = newMirrors(h.life, h.store, h.rights)
	h.page = page.New(page.Options{
		Host: hostname(), Version: buildinfo.String(), Containers: options.Containers, Insecure: options.Insecure,
	})
	go h.rights.follow(h.life, n, h.mirrors.disrupt)
	return h
}

// hostname is for people to see which machine's registry this is.
func hostname() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "this machine"
}

func (h *handler) close() { h.end() }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isGRPC(r) {
		h.serveGRPC(w, r)
		return
	}
	reply := &reply{ResponseWriter: w, status: http.StatusOK}
	defer func() { h.metrics.answered(topic(r.URL.Path), r.Method, reply.status) }()
	if err := h.serveHTTP(reply, r); err != nil {
		h.refuse(reply, r, err)
	}
}

// serveHTTP answers what is not etcd's protocol. An error is one that refuse tells; nothing was written then.
func (h *handler) serveHTTP(w *reply, r *http.Request) error {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(h.times.body)) // not there in a test's recorder
	_ = control.SetWriteDeadline(time.Now().Add(h.times.body))
	r.Body = http.MaxBytesReader(w, r.Body, mostBody)
	setSafeHeaders(w.Header())
	if err := h.gate.browser(r); err != nil {
		return err
	}
	path, err := segments(r.URL)
	if err != nil {
		return err
	}
	switch {
	case len(path) == 1 && path[0] == "healthz":
		return allow(r, http.MethodGet, func() error { return h.healthz(w) })
	case len(path) == 1 && path[0] == "readyz":
		return allow(r, http.MethodGet, func() error { return h.readyz(w, r) })
	}
	r, err = h.gate.enter(r)
	if err != nil {
		return err
	}
	return h.route(w, r, path)
}

func (h *handler) route(w *reply, r *http.Request, path []string) error {
	get := func(answer func(http.ResponseWriter, *http.Request) error) error {
		return allow(r, http.MethodGet, func() error { return answer(w, r) })
	}
	switch {
	case path[0] == "environment" && len(path) == 1:
		return get(h.listValues)
	case path[0] == "environment" && len(path) == 2:
		return h.value(w, r, path[1])
	case path[0] == "services" && len(path) == 1:
		return get(h.listServices)
	case path[0] == "services" && len(path) == 2:
		return get(func(w http.ResponseWriter, r *http.Request) error { return h.getService(w, r, path[1]) })
	case path[0] == "services" && len(path) == 3:
		return h.instance(w, r, path[1], path[2])
	case path[0] == "prometheus" && len(path) == 1:
		return get(h.prometheus)
	case path[0] == "watch" && len(path) == 1:
		return get(h.watch)
	case path[0] == "metrics" && len(path) == 1:
		return get(h.serveMetrics)
	case len(path) == 1:
		return get(func(w http.ResponseWriter, r *http.Request) error { return h.pageFile(w, r, path[0]) })
	}
	return problem(http.StatusNotFound, "there is nothing at this path")
}

func (h *handler) pageFile(w http.ResponseWriter, r *http.Request, name string) error {
	content, kind := h.page.File(name)
	if content == nil {
		return problem(http.StatusNotFound, "there is nothing at this path")
	}
	w.Header().Set("Content-Security-Policy", page.Policy)
	w.Header().Set("Content-Type", kind)
	return h.send(w, r, content)
}

// segments takes a path apart. Each part is unescaped by itself, so a name may have a slash, written %2F; the
// path is not cleaned, so a name may be "..".
func segments(u *url.URL) ([]string, error) {
	parts := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	for i, part := range parts {
		text, err := url.PathUnescape(part)
		if err != nil {
			return nil, problem(http.StatusBadRequest, "the path has a wrong escape")
		}
		parts[i] = text
	}
	return parts, nil
}

// topic is a path without names, for metrics.
func topic(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "environment", "services", "prometheus", "watch", "metrics", "healthz", "readyz":
		return first
	}
	return "page"
}

// allow answers the method, and HEAD as GET.
func allow(r *http.Request, method string, answer func() error) error {
	if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
		return answer()
	}
	return notAllowed(method)
}

// setSafeHeaders keeps other web pages from using an answer: nothing allows them to read it, and nothing in it is
// taken for a script, a style or a page.
func setSafeHeaders(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
}

// refuse tells what went wrong, in the header alone.
func (h *handler) refuse(w *reply, r *http.Request, err error) {
	if r.Context().Err() != nil {
		w.status = statusGone
		panic(http.ErrAbortHandler) // else it would be answered by an empty 200, if the client is there after all
	}
	if w.written {
		panic(http.ErrAbortHandler) // cut: half an answer must not look like a whole one
	}
	refused := refusalOf(err)
	for name, values := range refused.header {
		w.Header()[name] = values
	}
	w.Header().Set(ErrorHeader, headerText(refused.reason))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(refused.status)
	h.log.Debug("refused", "method", r.Method, "topic", topic(r.URL.Path), "from", r.RemoteAddr, "status", refused.status)
}

// statusGone counts requests whose client did not wait for the answer, or was cut off.
const statusGone = 499

// headerText makes any text fit for a header.
func headerText(text string) string {
	quoted := strconv.QuoteToASCII(text)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// reply knows what was answered.
type reply struct {
	http.ResponseWriter
	status  int
	written bool
}

func (r *reply) WriteHeader(status int) {
	r.status, r.written = status, true
	r.ResponseWriter.WriteHeader(status)
}

func (r *reply) Write(data []byte) (int, error) {
	r.written = true
	return r.ResponseWriter.Write(data)
}

// Unwrap lets http.ResponseController find the connection.
func (r *reply) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// readBody reads all of it. Its room is given back by done, once it is no longer needed.
func (h *handler) readBody(r *http.Request) (body []byte, done func(), err error) {
	size := r.ContentLength
	if size < 0 || size > mostBody {
		size = mostBody
	}
	done, err = h.bodies.take(r.Context(), listen.ClientOf(r.Context()), size)
	if err != nil {
		return nil, nil, err
	}
	body, err = io.ReadAll(r.Body)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		err = problem(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", tooLarge.Limit)
	} else if err != nil {
		err = problem(http.StatusBadRequest, "the body did not come whole")
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return body, done, nil
}

// send writes an answer that is this client's alone.
func (h *handler) send(w http.ResponseWriter, r *http.Request, data []byte) error {
	done, err := h.room.take(r.Context(), listen.ClientOf(r.Context()), int64(len(data)))
	if err != nil {
		return err
	}
	defer done()
	return writeAnswer(w, data)
}

// sendShared writes an answer that others may be reading too.
func (h *handler) sendShared(w http.ResponseWriter, r *http.Request, a *sharedAnswer) error {
	done, err := a.read(r.Context(), h.room)
	if err != nil {
		return err
	}
	defer done()
	return writeAnswer(w, a.data)
}

func writeAnswer(w http.ResponseWriter, data []byte) error {
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, err := w.Write(data)
	return err
}

func (h *handler) sendJSON(w http.ResponseWriter, r *http.Request, answer any) error {
	data, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return h.send(w, r, append(data, '\n'))
}

// queryDuration reads ?name=10s; a bare number is seconds. 0 when it is not there.
func queryDuration(query url.Values, name string, most time.Duration) (time.Duration, error) {
	text := query.Get(name)
	if text == "" {
		return 0, nil
	}
	duration, err := time.ParseDuration(text)
	if seconds, notNumber := strconv.Atoi(text); notNumber == nil && seconds < 1<<31 {
		duration, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || duration < 0 || duration > most {
		return 0, problem(http.StatusBadRequest, "%s=%q is no duration as 10s, up to %s", name, text, most)
	}
	return duration, nil
}

// queryOf reads the query, of which only these keys are known: one that is misspelt must not be a no. Those that end
// in + are repeatable.
func queryOf(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem(http.StatusBadRequest, "the query cannot be parsed")
	}
	for key, values := range query {
		switch repeatable := slices.Contains(known, key+"+"); {
		case !repeatable && !slices.Contains(known, key):
			return nil, problem(http.StatusBadRequest, "unknown query key %q, known here: %s", key, strings.ReplaceAll(strings.Join(known, ", "), "+", ""))
		case !repeatable && len(values) > 1:
			return nil, problem(http.StatusBadRequest, "query key %q is there %d times", key, len(values))
		}
	}
	return query, nil
}

// queryBool reads ?name=1.
func queryBool(query url.Values, name string) (bool, error) {
	switch query.Get(name) {
	case "":
		return false, nil
	case "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	}
	return false, problem(http.StatusBadRequest, "%s is 1 or 0", name)
}
