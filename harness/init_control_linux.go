package harness

import (
	"encoding/json"

	"github.com/envharness/envharness/harness/internal/control"
	"github.com/envharness/envharness/internal/text"
)

// controller answers the clients of the control socket.
type controller struct {
	*Harness
	state     *state
	publisher *publisher
	server    *control.Server // nil when there is none
	requests  chan request
	waiting   []request // until what they ask for has come about
}

// request is one question of a client. reply takes one answer and never blocks.
type request struct {
	verb  string
	reply chan control.Answer
}

func newController(s *startup, st *state, p *publisher) *controller {
	return &controller{Harness: s.Harness, state: st, publisher: p, requests: make(chan request)}
}

// listen opens the control socket. Without one the harness goes on: it is a convenience.
func (c *controller) listen() {
	socket, err := control.Listen(c.Init.Socket)
	if err != nil {
		c.Log.Warn("no control socket, so status, ready, drain and resume do not work", "path", c.Init.Socket, "problem", text.Reason(err))
		return
	}
	c.server = socket
	go socket.Serve(c.answer)
}

// answer answers from what is known, or lets the supervisor do what is asked for.
func (c *controller) answer(verb string) control.Answer {
	status := c.status()
	switch verb {
	case control.AskStatus:
		text, _ := json.Marshal(status)
		return control.Answer{OK: true, Status: text}
	case control.AskReady:
		return readyAnswer(status)
	case control.AskDrain, control.AskResume:
		if status.Phase == control.Starting || status.Phase == control.Stopping {
			return control.Answer{Problem: "the harness is " + status.Phase}
		}
		q := request{verb: verb, reply: make(chan control.Answer, 1)}
		c.requests <- q
		return <-q.reply
	}
	return control.Answer{Problem: "unknown request"}
}

func readyAnswer(s control.Status) control.Answer {
	switch {
	case s.Phase == control.Starting || s.Phase == control.Stopping:
		return control.Answer{Problem: "the harness is " + s.Phase}
	case s.Phase == control.Drained:
		return control.Answer{Problem: "it is drained"}
	case !s.Ready:
		return control.Answer{Problem: "the command is not ready yet"}
	case !s.Healthy:
		return control.Answer{Problem: "the command is not well"}
	}
	return control.Answer{OK: true}
}

// status is what the harness says of itself.
func (c *controller) status() control.Status {
	s := c.state.status()
	s.Announced, _, _ = c.publisher.status()
	s.Exporters = c.publisher.exporters()
	return s
}

// take changes what is wanted. The answer is given when that has come about, see settle.
func (c *controller) take(q request) {
	c.state.setDrained(q.verb == control.AskDrain)
	c.waiting = append(c.waiting, q)
}

// settle answers the requests that have come about, or failed.
func (c *controller) settle() {
	still := c.waiting[:0]
	for _, q := range c.waiting {
		if answer, final := c.outcome(q); final {
			q.reply <- answer
		} else {
			still = append(still, q)
		}
	}
	c.waiting = still
}

// outcome is the answer to a request that waits, once there is one.
func (c *controller) outcome(q request) (answer control.Answer, final bool) {
	at, drained := c.state.phaseAndDrained()
	announced, settled, err := c.publisher.status()
	wantsDrained := q.verb == control.AskDrain
	switch {
	case at.IsStopping():
		return control.Answer{Problem: "the harness is " + control.Stopping}, true
	case wantsDrained != drained:
		return control.Answer{Problem: "another request took its place"}, true
	case settled && announced != wantsDrained:
		return control.Answer{OK: true}, true
	case settled && !wantsDrained:
		return control.Answer{Problem: "the command is not ready or not well: the service is announced once it is"}, true
	case !settled && !wantsDrained && err != nil:
		return control.Answer{Problem: "the service could not be announced: " + err.Error()}, true
	}
	return control.Answer{}, false
}

// close removes the socket.
func (c *controller) close() {
	if c.server != nil {
		c.server.Close()
	}
}
